"""Deletes old runs of Dagster and their events, unless the status of a partition depends on them.

A partition counts as materialized as long as the event exists, and the event belongs to a run. So the newest
successful run of each asset and partition is never deleted; a failed run is kept until a successful one follows.
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
"""Runs deleted by one call, the oldest first."""
AssetPartition = tuple[dg.AssetKey, str | None]
"""An asset, and its partition if it is partitioned."""


def delete_old_runs(instance: dg.DagsterInstance, before: float, *, at_most: int = MAX_DELETED_RUNS) -> int:
    """Delete finished runs created before a moment, unless a partition's status depends on them; return how many.

    Args:
        before: epoch seconds.
    """
    # Deleting starts after reading has ended: each page is read from the last run of the page before.
    oldest_first = list(_deletable(instance, before))[::-1][:at_most]
    for run_id in oldest_first:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
        _remove_file(instance, run_id)
    return len(oldest_first)


def _deletable(instance: dg.DagsterInstance, before: float) -> Iterator[str]:
    """Yield the ids of old runs on which no partition's status depends, the newest first."""
    materialized: set[AssetPartition] = set()
    for record in _newest_first(instance):
        run = record.dagster_run
        partitions = _materialized_by(run)
        is_needed = RANGE_TAG in run.tags or not partitions <= materialized
        if run.status is dg.DagsterRunStatus.SUCCESS and RANGE_TAG not in run.tags:
            materialized |= partitions
        if not is_needed and record.create_timestamp.timestamp() < before:
            yield run.run_id


def _newest_first(instance: dg.DagsterInstance) -> Iterator[dg.RunRecord]:
    cursor, finished = None, dg.RunsFilter(statuses=list(FINISHED))
    while page := instance.get_run_records(finished, limit=PAGE, cursor=cursor):
        yield from page
        cursor = page[-1].dagster_run.run_id


def _materialized_by(run: dg.DagsterRun) -> set[AssetPartition]:
    """Return what a run materializes if it succeeds; nothing for a run that processes single items."""
    selected = set(run.asset_selection or ())
    if not selected:
        selected = {key for stream in streams_of(run) for key in asset_keys(stream).values()}
        selected |= {UPKEEP_JOBS[run.job_name]} if run.job_name in UPKEEP_JOBS else set()
    return {(key, run.tags.get(PARTITION_TAG)) for key in selected}


def _remove_file(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove the file in which SQLite keeps the events of one run; Dagster leaves it there, empty."""
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        file = Path(storage.path_for_shard(run_id))
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                file.with_name(file.name + ending).unlink()
