"""What Dagster's runs say about an hour: whether one is open, whether it is alive, how often it failed lately."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import dagster as dg

from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.operations.recovery import StalledDetector
from chatai_assets.orchestration.watchdog.heartbeat import alive_until, is_alive
from chatai_assets.pipeline.worker_id import is_dead, is_remote, new_lease_token
from chatai_assets.storage.engine import Records

STREAM_TAG = "chatai/stream"
WORKER_TAG = ".dagster/chatai_worker"
"""Dagster shows no tag of this beginning; it would fill half of the list of runs and tells people nothing."""
PARTITION_TAG = "dagster/partition"
TRIGGER_TAG = "chatai/asked"
"""``due`` or ``probe`` on runs that a sensor asked for."""
UPKEEP_JOBS = {
    job: dg.AssetKey(["upkeep", name])
    for job, name in (
        ("expire", "expired"),
        ("retain", "retained"),
        ("audit", "audited"),
        ("reindex", "reindexed"),
    )
}
"""Job -> the one asset it materializes."""
RETRY_TAG = "dagster/parent_run_id"
REASON_TAG = "dagster/failure_reason"
INTERRUPTED = "UNEXPECTED_TERMINATION"
"""Dagster's word for a run that was told to stop, which says nothing of whether its hour can be done.

A process that was killed says nothing at all, and a retry does not inherit it.
"""
OUTAGE_TAG = "chatai/outage"
FIRST_BACKOFF_S = 30.0
LONGEST_BACKOFF_S = 900.0
COUNTED_RUNS = 8
"""Runs of an hour that are looked at for its backoff; by then it is the longest."""
OPEN = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
LOST = "The process that worked on this run is gone; what it had claimed is free again."

Trigger = Literal["due", "probe", "by hand"]
StreamHour = tuple[Stream, str]


@dataclass(frozen=True, slots=True)
class HourBackoff:
    """How long an hour is left alone after failed runs.

    Attributes:
        failures: failed runs since the last good one, counted up to a limit.
        until: epoch seconds.
    """

    failures: int
    until: float


def tag_worker(instance: dg.DagsterInstance, run_id: str) -> None:
    """Write on a run which process works on it, so that a run whose process was killed is known to be lost."""
    # A retried run inherits the tags of the lost one, hence the run's own id in the signature.
    instance.add_run_tags(run_id, {WORKER_TAG: f"{run_id}@{new_lease_token()}"})


def trigger_of(tags: Mapping[str, str]) -> Trigger:
    """Return who asked for a run; one that was begun again, by hand or by Dagster, counts as asked for by hand."""
    asked = tags.get(TRIGGER_TAG)
    if RETRY_TAG in tags or asked is None:
        return "by hand"
    return "probe" if asked == "probe" else "due"


def tag_outage(instance: dg.DagsterInstance, run_id: str, part: str) -> None:
    """Write on a run what was down: its breaker says when to ask again, and its hour needs no backoff."""
    instance.add_run_tags(run_id, {OUTAGE_TAG: part})


def end_lost_runs(
    instance: dg.DagsterInstance, records: Records, silence: StalledDetector | None = None, lease_s: float = math.inf
) -> list[str]:
    """Fail started runs whose process no longer exists, or was not heard of for a lease; return their ids.

    Dagster's default launcher would leave them open for as long as a run may take, and their hours with them.

    Args:
        silence: when runs were last heard of, for machines whose clock was ahead when they were lost.
        lease_s: seconds without news after which ``silence`` counts such a run as lost.
    """
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    elsewhere = {run.run_id: alive_until(records, run.run_id) for run in started if _is_remote(run)}
    silent = silence.stalled(elsewhere, lease_s) if silence else {}
    lost = [run for run in started if run.run_id in silent or _is_lost(run, records)]
    for run in lost:
        instance.report_run_failed(run, LOST)
    return [run.run_id for run in lost]


def _is_lost(run: dg.DagsterRun, records: Records) -> bool:
    owner = _worker_of(run)
    if not owner:
        return False
    return not is_alive(records, run.run_id) if is_remote(owner) else is_dead(owner)


def _is_remote(run: dg.DagsterRun) -> bool:
    owner = _worker_of(run)
    return bool(owner) and is_remote(owner)


def _worker_of(run: dg.DagsterRun) -> str:
    """Return who signed a run; "" where nobody did, or only the lost run of which this is a retry."""
    run_id, _, owner = run.tags.get(WORKER_TAG, "").partition("@")
    return owner if run_id == run.run_id else ""


def open_hours_of_runs(instance: dg.DagsterInstance) -> set[StreamHour]:
    """Return the streams and hours for which a run waits or works, whoever asked for it."""
    open_runs = instance.get_runs(dg.RunsFilter(statuses=list(OPEN)))
    of_an_hour = [run for run in open_runs if PARTITION_TAG in run.tags]
    return {(stream, run.tags[PARTITION_TAG]) for run in of_an_hour for stream in streams_of(run)}


def streams_of(run: dg.DagsterRun) -> set[Stream]:
    """Return the streams a run works on: by its tag, its job, or the assets that were picked in the UI."""
    picked = {key.path[0] for key in run.asset_selection or ()}
    named = {run.tags.get(STREAM_TAG), run.job_name}
    return {stream for stream in STREAMS if stream in picked | named}


def backoffs(
    instance: dg.DagsterInstance, stream: Stream, hours: Collection[str], now: float
) -> dict[str, HourBackoff]:
    """Return hour -> backoff, of those hours whose last run failed and that are to be left alone until later."""
    lately = instance.get_run_records(
        dg.RunsFilter(
            statuses=list(FAILED),
            tags={STREAM_TAG: stream},
            updated_after=datetime.fromtimestamp(now - LONGEST_BACKOFF_S, UTC),
        )
    )
    suspects = {record.dagster_run.tags.get(PARTITION_TAG) for record in lately}.intersection(hours)
    found = {hour: _backoff(instance, stream, hour) for hour in sorted(filter(None, suspects))}
    return {hour: backoff for hour, backoff in found.items() if now < backoff.until <= now + LONGEST_BACKOFF_S}


def _backoff(instance: dg.DagsterInstance, stream: Stream, hour: str) -> HourBackoff:
    newest_first = instance.get_run_records(
        dg.RunsFilter(tags={STREAM_TAG: stream, PARTITION_TAG: hour}), limit=COUNTED_RUNS
    )
    failures, ended = 0, 0.0
    for record in newest_first:
        if record.dagster_run.tags.get(REASON_TAG) == INTERRUPTED:
            continue
        if record.dagster_run.status not in FAILED:
            break
        if OUTAGE_TAG in record.dagster_run.tags:
            continue
        failures += 1
        ended = max(ended, record.end_time or record.update_timestamp.timestamp())
    return HourBackoff(failures, ended + delay_after(failures))


def delay_after(failures: int) -> float:
    """Return seconds to wait after some failed runs in a row: doubling, bounded."""
    return min(FIRST_BACKOFF_S * 2.0 ** (failures - 1), LONGEST_BACKOFF_S) if failures else 0.0


def materialized_hours(
    instance: dg.DagsterInstance, asset_keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, frozenset[str]]:
    """Return asset -> hours that were ever materialized."""
    found: defaultdict[dg.AssetKey, frozenset[str]] = defaultdict(frozenset)
    for key in asset_keys:
        found[key] = frozenset(instance.get_materialized_partitions(key))
    return dict(found)
