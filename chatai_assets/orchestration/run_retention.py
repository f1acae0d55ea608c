"""Old runs of Dagster and their events are deleted, unless the status of a partition rests on them.

A partition is materialized while the event that says so is there, and that event belongs to a run. So of each asset
and partition the newest good run stays for ever; a bad run stays until a good one came after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from chatai_assets.orchestration.assets.streams import asset_keys
from chatai_assets.orchestration.runs import FAILED, PARTITION_TAG, UPKEEP_JOBS, streams_of

RANGE_TAG = "dagster/asset_partition_range_start"
FINISHED = (dg.DagsterRunStatus.SUCCESS, *FAILED)
PAGE = 500
"""Runs read at a time."""
MAX_DELETED_RUNS = 2_000
"""Runs of one go, the oldest first."""
AssetPartition = tuple[dg.AssetKey, str | None]
"""An asset, and one of its partitions if it has any."""


def delete_old_runs(instance: dg.DagsterInstance, before: float, *, at_most: int = MAX_DELETED_RUNS) -> int:
    """Delete finished runs that were begun before a moment and that nothing rests on; return how many.

    Args:
        before: epoch seconds.
    """
    # Only when the walk is over: it goes on from the last run it has seen.
    oldest_first = list(_deletable(instance, before))[::-1][:at_most]
    for run_id in oldest_first:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
        _remove_file(instance, run_id)
    return len(oldest_first)


def _deletable(instance: dg.DagsterInstance, before: float) -> Iterator[str]:
    """Yield the ids of old runs that nothing rests on, the newest first."""
    materialized: set[AssetPartition] = set()
    for record in _newest_first(instance):
        run = record.dagster_run
        places = _materialized_by(run)
        is_needed = RANGE_TAG in run.tags or not places <= materialized
        if run.status is dg.DagsterRunStatus.SUCCESS and RANGE_TAG not in run.tags:
            materialized |= places
        if not is_needed and record.create_timestamp.timestamp() < before:
            yield run.run_id


def _newest_first(instance: dg.DagsterInstance) -> Iterator[dg.RunRecord]:
    cursor, finished = None, dg.RunsFilter(statuses=list(FINISHED))
    while page := instance.get_run_records(finished, limit=PAGE, cursor=cursor):
        yield from page
        cursor = page[-1].dagster_run.run_id


def _materialized_by(run: dg.DagsterRun) -> set[AssetPartition]:
    """Return what a run materializes if it is good; nothing for a run that does single items."""
    picked = set(run.asset_selection or ())
    if not picked:
        picked = {key for stream in streams_of(run) for key in asset_keys(stream).values()}
        picked |= {UPKEEP_JOBS[run.job_name]} if run.job_name in UPKEEP_JOBS else set()
    return {(key, run.tags.get(PARTITION_TAG)) for key in picked}


def _remove_file(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove the file in which SQLite keeps the events of one run; Dagster leaves it there, empty."""
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        file = Path(storage.path_for_shard(run_id))
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                file.with_name(file.name + ending).unlink()
