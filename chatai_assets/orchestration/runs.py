"""What Dagster's runs say about an hour: whether one is open, whether it is alive, how often it failed recently."""

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
"""Dagster hides tags with this prefix; shown, it would fill half of the list of runs."""
PARTITION_TAG = "dagster/partition"
TRIGGER_TAG = "chatai/asked"
"""``due`` or ``probe`` on runs that a sensor requested."""
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
"""Dagster's reason for a run that was stopped by a signal; it does not count as a failure of its hour.

A killed process sets no reason, and a retry does not inherit it.
"""
OUTAGE_TAG = "chatai/outage"
FIRST_BACKOFF_S = 30.0
LONGEST_BACKOFF_S = 900.0
COUNTED_RUNS = 8
"""Latest runs of an hour that are read for its backoff; with so many failures it has its maximum."""
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
    """How long no run of an hour is requested after failed runs.

    Attributes:
        failures: failed runs since the last successful one, up to ``COUNTED_RUNS``.
        until: epoch seconds.
    """

    failures: int
    until: float


def tag_worker(instance: dg.DagsterInstance, run_id: str) -> None:
    """Tag a run with the worker that executes it, so that a run whose process was killed is recognised as lost."""
    # A retry inherits the tags of the lost run; the run id shows whether the tag is its own.
    instance.add_run_tags(run_id, {WORKER_TAG: f"{run_id}@{new_lease_token()}"})


def trigger_of(tags: Mapping[str, str]) -> Trigger:
    """Return what triggered a run; a retry, by a person or by Dagster, counts as triggered by hand."""
    trigger = tags.get(TRIGGER_TAG)
    if RETRY_TAG in tags or trigger is None:
        return "by hand"
    return "probe" if trigger == "probe" else "due"


def tag_outage(instance: dg.DagsterInstance, run_id: str, part: str) -> None:
    """Tag a run with the dependency that was down: its breaker decides when to retry, so the hour needs no backoff."""
    instance.add_run_tags(run_id, {OUTAGE_TAG: part})


def end_lost_runs(
    instance: dg.DagsterInstance, records: Records, detector: StalledDetector | None = None, lease_s: float = math.inf
) -> list[str]:
    """Fail started runs whose process no longer exists or has not renewed its lease; return their ids.

    Dagster's default launcher would leave them, and their hours, open until the deadline of a run.

    Args:
        detector: finds lost runs of machines whose clock was ahead, so that their lease ends far in the future.
        lease_s: seconds without renewal after which the detector counts such a run as lost.
    """
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    remote = {run.run_id: alive_until(records, run.run_id) for run in started if _is_remote(run)}
    stalled = detector.stalled(remote, lease_s) if detector else {}
    lost = [run for run in started if run.run_id in stalled or _is_lost(run, records)]
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
    """Return the worker of a run; "" if it has no tag, or only the one inherited from the run that it retries."""
    run_id, _, owner = run.tags.get(WORKER_TAG, "").partition("@")
    return owner if run_id == run.run_id else ""


def open_hours_of_runs(instance: dg.DagsterInstance) -> set[StreamHour]:
    """Return the streams and hours for which a run is queued or executing, whatever triggered it."""
    open_runs = instance.get_runs(dg.RunsFilter(statuses=list(OPEN)))
    partitioned = [run for run in open_runs if PARTITION_TAG in run.tags]
    return {(stream, run.tags[PARTITION_TAG]) for run in partitioned for stream in streams_of(run)}


def streams_of(run: dg.DagsterRun) -> set[Stream]:
    """Return the streams a run works on: by its tag, its job, or the assets selected in the UI."""
    selected = {key.path[0] for key in run.asset_selection or ()}
    named = {run.tags.get(STREAM_TAG), run.job_name}
    return {stream for stream in STREAMS if stream in selected | named}


def backoffs(
    instance: dg.DagsterInstance, stream: Stream, hours: Collection[str], now: float
) -> dict[str, HourBackoff]:
    """Return hour -> backoff for the hours whose last runs failed and whose backoff has not ended."""
    recent = instance.get_run_records(
        dg.RunsFilter(
            statuses=list(FAILED),
            tags={STREAM_TAG: stream},
            updated_after=datetime.fromtimestamp(now - LONGEST_BACKOFF_S, UTC),
        )
    )
    candidates = {record.dagster_run.tags.get(PARTITION_TAG) for record in recent}.intersection(hours)
    found = {hour: _backoff(instance, stream, hour) for hour in sorted(filter(None, candidates))}
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
    """Return seconds to wait after consecutive failed runs: exponential, with a maximum."""
    return min(FIRST_BACKOFF_S * 2.0 ** (failures - 1), LONGEST_BACKOFF_S) if failures else 0.0


def materialized_hours(
    instance: dg.DagsterInstance, asset_keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, frozenset[str]]:
    """Return asset -> hours that were ever materialized."""
    found: defaultdict[dg.AssetKey, frozenset[str]] = defaultdict(frozenset)
    for key in asset_keys:
        found[key] = frozenset(instance.get_materialized_partitions(key))
    return dict(found)
