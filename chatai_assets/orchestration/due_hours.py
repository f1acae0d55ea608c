"""Decides for the sensors for which hours to request runs, and which hours to report as empty."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import dagster as dg

from chatai_assets.domain.circuit_breaker import OpenBreaker, breaker_state, open_breakers_by_stage
from chatai_assets.domain.ids import Stream, hour_of
from chatai_assets.domain.stages import PIPELINE_STAGES, Stage
from chatai_assets.operations.outages import describe_outages, record_probe
from chatai_assets.orchestration.assets.streams import asset_keys
from chatai_assets.orchestration.metadata import empty_hour_metadata
from chatai_assets.orchestration.runs import TRIGGER_TAG, HourBackoff, backoffs, materialized_hours, open_hours_of_runs
from chatai_assets.storage import outages
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records

RUNS_A_TICK = 20
"""Requested per tick at most: submitting a run takes about a second."""
EMPTY_HOURS_A_TICK = 24
EMPTY_AFTER_S = 300
HOUR_S = 3_600
LIVE_PRIORITY = "10"
"""Priority in the run queue of runs of the current hour; all others have 0."""


@dataclass(frozen=True, slots=True)
class DueHours:
    """The runs that a tick requests, and what keeps others from being requested.

    Attributes:
        hours: hours to request, the newest first.
        unknown: hours with due work that are not partitions.
        running: hours with due work for which a run is open.
        waiting: hours with due work in backoff after failed runs.
        later: how many hours are left for the next tick.
        downs: outages that affect stages of the stream.
        probe: the hour whose run tries with a few items whether the dependency works again.
    """

    hours: Sequence[str] = ()
    unknown: Sequence[str] = ()
    running: Sequence[str] = ()
    waiting: dict[str, HourBackoff] = field(default_factory=dict)
    later: int = 0
    downs: Sequence[OpenBreaker] = ()
    probe: str | None = None


def due_now(
    stream: Stream,
    records: Records,
    instance: dg.DagsterInstance,
    hours: dg.PartitionsDefinition[str],
    now: float,
    probe_interval_s: float,
) -> DueHours:
    """Return which hours of a stream need a run now: those with due work at stages that no outage blocks.

    Args:
        now: epoch seconds.
        probe_interval_s: seconds between probes of a dependency that is down.
    """
    with records.reading() as connection:
        downs = outages.open_outages(connection)
        blocked = open_breakers_by_stage(downs, stream)
        free: list[Stage] = [stage for stage in PIPELINE_STAGES if stage not in blocked]
        due = [hour for hour, _ in work.due_hours(connection, stream, now=now, stages=free)]
        held = [hour for hour, _ in work.due_hours(connection, stream, now=now, stages=list(blocked))]
    selected = _select_hours(stream, instance, hours, due, now)
    affecting = [down for down in downs if down.stages(stream)]
    if not any(breaker_state(down, stream, now, probe_interval_s) == "half-open" for down in affecting):
        return replace(selected, downs=affecting)
    return replace(selected, downs=affecting, probe=_hour_to_probe(stream, instance, hours, held))


def _hour_to_probe(
    stream: Stream, instance: dg.DagsterInstance, hours: dg.PartitionsDefinition[str], held: Sequence[str]
) -> str | None:
    """Return the newest hour with items blocked by an outage and without an open run."""
    busy = {hour for busy_stream, hour in open_hours_of_runs(instance) if busy_stream == stream} if held else set()
    return next((hour for hour in held if hour not in busy and hours.has_partition_key(hour)), None)


def _select_hours(
    stream: Stream,
    instance: dg.DagsterInstance,
    hours: dg.PartitionsDefinition[str],
    due: Sequence[str],
    now: float,
) -> DueHours:
    known = [hour for hour in due if hours.has_partition_key(hour)]
    busy = {hour for busy_stream, hour in open_hours_of_runs(instance) if busy_stream == stream} if known else set()
    free = [hour for hour in known if hour not in busy]
    waiting = backoffs(instance, stream, free, now) if free else {}
    wanted = [hour for hour in free if hour not in waiting]
    return DueHours(
        hours=wanted[:RUNS_A_TICK],
        unknown=[hour for hour in due if hour not in set(known)],
        running=[hour for hour in known if hour in busy],
        waiting=waiting,
        later=max(0, len(wanted) - RUNS_A_TICK),
    )


def run_requests(due: DueHours, now: float) -> list[dg.RunRequest]:
    """Return one request per hour, without a run key: Dagster never runs a key twice, even if its run failed."""
    current = hour_of(now)
    hours = [hour for hour in due.hours if hour != due.probe]
    first = {"dagster/priority": LIVE_PRIORITY}
    probe = [dg.RunRequest(partition_key=due.probe, tags={TRIGGER_TAG: "probe"} | first)] if due.probe else []
    return probe + [
        dg.RunRequest(partition_key=hour, tags={TRIGGER_TAG: "due"} | (first if hour == current else {}))
        for hour in hours
    ]


def record_due_probe(due: DueHours, stream: Stream, records: Records, now: float) -> None:
    """Record that the probe is requested; one run probes all dependencies that are down for the stream."""
    if due.probe:
        record_probe(records, due.downs, stream, now)


def outage_summary(due: DueHours, stream: Stream, records: Records, probe_interval_s: float) -> str:
    """Describe what is down for a stream, what waits and when the next probe is."""
    return describe_outages(records, due.downs, stream, probe_interval_s)


def explain(due: DueHours, stream: Stream) -> str:
    """Explain why runs of hours with due work are not requested; "" if all are."""
    sentences = []
    if due.running:
        sentences.append(f"A run is open for {_join_hours(due.running)}.")
    for hour, backoff in list(due.waiting.items())[:3]:
        until = datetime.fromtimestamp(backoff.until, UTC)
        runs = "run" if backoff.failures == 1 else "runs"
        sentences.append(f"{backoff.failures} {runs} of {hour} failed; it is left alone until {until:%H:%M:%S} UTC.")
    if len(due.waiting) > 3:
        sentences.append(f"{len(due.waiting) - 3} more hours are left alone after failed runs.")
    if due.unknown:
        sentences.append(
            f"These hours have due {stream} but are no partitions, and were dropped: {_join_hours(due.unknown)}."
        )
    if due.later:
        sentences.append(f"{due.later} more hours are asked for at the next ticks.")
    return " ".join(sentences)


def _join_hours(hours: Sequence[str]) -> str:
    more = f" and {len(hours) - 5} more" if len(hours) > 5 else ""
    return ", ".join(hours[:5]) + more


class EmptyHours:
    """Reports hours in which nothing arrived as materialized with 0 items, so that a missing hour means a problem.

    Remembers up to which hour all are materialized, so that most ticks need no query; a new process starts over.

    Args:
        hours: returns all current partition keys, in order.
        clock: epoch seconds.
    """

    def __init__(
        self, stream: Stream, hours: Callable[[], Sequence[str]], clock: Callable[[], float] = time.time
    ) -> None:
        self._stream = stream
        self._hours = hours
        self._clock = clock
        self._complete_until = ""

    def events(self, records: Records, instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
        """Return the events to report: at most 24 hours, one per asset that was never materialized in the hour."""
        newest_closed = hour_of(self._clock() - HOUR_S - EMPTY_AFTER_S)
        closed = [hour for hour in self._hours() if self._complete_until < hour <= newest_closed]
        if not closed:
            return []
        materialized = materialized_hours(instance, asset_keys(self._stream).values())
        with records.reading() as connection:
            open_hours = work.open_hours(connection, self._stream)
        missing = [hour for hour in closed if any(hour not in done for done in materialized.values())]
        self._complete_until = max(
            (hour for hour in closed if not missing or hour < missing[0]), default=self._complete_until
        )
        empty = [hour for hour in missing if hour not in open_hours][:EMPTY_HOURS_A_TICK]
        return [
            dg.AssetMaterialization(key, partition=hour, metadata=empty_hour_metadata(stage))
            for hour in empty
            for stage, key in asset_keys(self._stream).items()
            if hour not in materialized[key]
        ]
