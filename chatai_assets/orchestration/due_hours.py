"""Which hours to ask for now, and which to report as empty: what the sensors decide, given what they see."""

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
"""Submitting a run takes about a second; more would not fit into a tick."""
EMPTY_HOURS_A_TICK = 24
EMPTY_AFTER_S = 300
HOUR_S = 3_600
LIVE_PRIORITY = "10"
"""Of runs of the live hour in the run queue; all others have 0."""


@dataclass(frozen=True, slots=True)
class DueHours:
    """What a tick asks for, and why not for more.

    Attributes:
        hours: to be asked for, the newest first.
        unknown: hours with due work that are no partition.
        running: hours with due work for which a run is open.
        waiting: hours with due work that are left alone after failed runs.
        later: how many hours are left for the next tick.
        downs: what is down for some stage of the stream.
        probe: the hour of which a few items shall try whether that works again.
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
    """Return which hours of a stream need a run now: those with work that nothing stands in the way of.

    Args:
        now: epoch seconds.
        probe_interval_s: seconds from one probe to the next of what is down.
    """
    with records.reading() as connection:
        downs = outages.open_outages(connection)
        stopped = open_breakers_by_stage(downs, stream)
        going: list[Stage] = [stage for stage in PIPELINE_STAGES if stage not in stopped]
        due = [hour for hour, _ in work.due_hours(connection, stream, now=now, stages=going)]
        held = [hour for hour, _ in work.due_hours(connection, stream, now=now, stages=list(stopped))]
    found = _select_hours(stream, instance, hours, due, now)
    mine = [down for down in downs if down.stages(stream)]
    if not any(breaker_state(down, stream, now, probe_interval_s) == "half-open" for down in mine):
        return replace(found, downs=mine)
    return replace(found, downs=mine, probe=_hour_to_probe(stream, instance, hours, held))


def _hour_to_probe(
    stream: Stream, instance: dg.DagsterInstance, hours: dg.PartitionsDefinition[str], held: Sequence[str]
) -> str | None:
    """Return the newest hour in which something waits for what is down, and that nobody works on."""
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
    """Return one request per hour, without a run key: a used key is never asked for again, even if its run failed."""
    live = hour_of(now)
    hours = [hour for hour in due.hours if hour != due.probe]
    first = {"dagster/priority": LIVE_PRIORITY}
    probe = [dg.RunRequest(partition_key=due.probe, tags={TRIGGER_TAG: "probe"} | first)] if due.probe else []
    return probe + [
        dg.RunRequest(partition_key=hour, tags={TRIGGER_TAG: "due"} | (first if hour == live else {})) for hour in hours
    ]


def record_due_probe(due: DueHours, stream: Stream, records: Records, now: float) -> None:
    """Note that the probe is asked for; one run tries all that is down for the stream."""
    if due.probe:
        record_probe(records, due.downs, stream, now)


def outage_summary(due: DueHours, stream: Stream, records: Records, probe_interval_s: float) -> str:
    """Return in a few sentences what is down for a stream, what waits and when somebody tries again."""
    return describe_outages(records, due.downs, stream, probe_interval_s)


def explain(due: DueHours, stream: Stream) -> str:
    """Return in a few sentences what keeps hours with due work from being asked for; "" when nothing does."""
    said = []
    if due.running:
        said.append(f"A run is open for {_join_hours(due.running)}.")
    for hour, backoff in list(due.waiting.items())[:3]:
        until = datetime.fromtimestamp(backoff.until, UTC)
        runs = "run" if backoff.failures == 1 else "runs"
        said.append(f"{backoff.failures} {runs} of {hour} failed; it is left alone until {until:%H:%M:%S} UTC.")
    if len(due.waiting) > 3:
        said.append(f"{len(due.waiting) - 3} more hours are left alone after failed runs.")
    if due.unknown:
        said.append(
            f"These hours have due {stream} but are no partitions, and were dropped: {_join_hours(due.unknown)}."
        )
    if due.later:
        said.append(f"{due.later} more hours are asked for at the next ticks.")
    return " ".join(said)


def _join_hours(hours: Sequence[str]) -> str:
    more = f" and {len(hours) - 5} more" if len(hours) > 5 else ""
    return ", ".join(hours[:5]) + more


class EmptyHours:
    """Reports hours of a stream in which nothing arrived as materialized with 0 items, so that missing means trouble.

    Remembers up to which hour everything is settled, so that most ticks ask nothing; a new process looks again.

    Args:
        hours: returns all partition keys there are now, in order.
        clock: epoch seconds.
    """

    def __init__(
        self, stream: Stream, hours: Callable[[], Sequence[str]], clock: Callable[[], float] = time.time
    ) -> None:
        self._stream = stream
        self._hours = hours
        self._clock = clock
        self._settled = ""

    def events(self, records: Records, instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
        """Return what to report: at most 24 hours, each once per asset that was never materialized in it."""
        newest_closed = hour_of(self._clock() - HOUR_S - EMPTY_AFTER_S)
        closed = [hour for hour in self._hours() if self._settled < hour <= newest_closed]
        if not closed:
            return []
        materialized = materialized_hours(instance, asset_keys(self._stream).values())
        with records.reading() as connection:
            open_hours = work.open_hours(connection, self._stream)
        missing = [hour for hour in closed if any(hour not in done for done in materialized.values())]
        self._settled = max((hour for hour in closed if not missing or hour < missing[0]), default=self._settled)
        quiet = [hour for hour in missing if hour not in open_hours][:EMPTY_HOURS_A_TICK]
        return [
            dg.AssetMaterialization(key, partition=hour, metadata=empty_hour_metadata(stage))
            for hour in quiet
            for stage, key in asset_keys(self._stream).items()
            if hour not in materialized[key]
        ]
