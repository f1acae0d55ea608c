"""Circuit breaker of a dependency that all items need: a provider, the vector index, the graph.

Pure functions of (state, now).

::

    closed --a stage fails with an Outage--> open --the time of a probe has come--> half-open
      ^                                       ^                                        |
      |                                       +---------------the probe fails----------+
      +----------------the probe succeeds, at every stage that had failed--------------+

While it is open no stage calls the dependency. While it is half-open one run of each stream may, with a few items.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.domain.stages import PIPELINE_STAGES, Stage

BreakerState = Literal["closed", "open", "half-open"]
FIRST_PROBES_S = (60.0, 120.0, 240.0)
"""Seconds between the first probes; they are close together because most outages are short."""
REOPEN_WITHIN_S = 120.0
"""A breaker that reopens within this time continues the same outage; its end has not been notified yet."""
RECORDS = "records"
"""The record store, which holds the state of all breakers; its own outage cannot be recorded there."""
PROBE_ITEMS = 20
"""Items of a probe: enough to see whether the dependency works, few enough to be cheap."""
DISPLAY_NAMES = {
    **{name: spec.display_name for name, spec in PROVIDERS.items()},
    "offline": "the offline model",
    "free": "the free model",
    "vectors": "the vector index",
    "graph": "the graph",
    "parser": "the parser",
    "web": "the way to linked pages",
    RECORDS: "the record store",
}


@dataclass(frozen=True, slots=True)
class Probes:
    """Probes of one stream so far: how many were requested, and when the last one was (epoch seconds)."""

    asked: int = 0
    asked_at: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """An outage: a breaker that opened.

    Attributes:
        dependency: what is down, a key of ``DISPLAY_NAMES``.
        since: epoch seconds.
        reason: one sentence without private text.
        affected: ``stream/stage`` that failed and did not succeed since.
        probes: stream -> its probes.
        closed_at: epoch seconds; None while it is open.
        delayed: stream -> items that waited when it closed.
    """

    id: int
    dependency: str
    since: float
    reason: str
    affected: tuple[str, ...]
    probes: Mapping[str, Probes] = field(default_factory=dict)
    closed_at: float | None = None
    delayed: Mapping[str, int] = field(default_factory=dict)

    def stages(self, stream: Stream) -> tuple[Stage, ...]:
        """Return the stages of a stream that wait for it, in pipeline order."""
        return tuple(stage for stage in PIPELINE_STAGES if affected_name(stream, stage) in self.affected)


def affected_name(stream: Stream, stage: Stage) -> str:
    """Return the name of a stage of a stream in ``OpenBreaker.affected``."""
    return f"{stream}/{stage}"


def display_name(dependency: str) -> str:
    """Return the name of a dependency for people."""
    return DISPLAY_NAMES.get(dependency, dependency)


def next_probe(down: OpenBreaker, stream: Stream, longest_s: float) -> float:
    """Return the time from which a run of a stream may probe the dependency, in epoch seconds.

    Args:
        longest_s: seconds from one probe to the next, once the first ones are over.
    """
    probes = down.probes.get(stream, Probes())
    delay = FIRST_PROBES_S[probes.asked] if probes.asked < len(FIRST_PROBES_S) else longest_s
    return (probes.asked_at if probes.asked else down.since) + min(delay, longest_s)


def breaker_state(down: OpenBreaker | None, stream: Stream, now: float, longest_s: float) -> BreakerState:
    """Return the state of a dependency's breaker for one stream."""
    if down is None or down.closed_at is not None or not down.stages(stream):
        return "closed"
    probe_at = next_probe(down, stream, longest_s)
    # A clock that was ahead may have written the last probe or the start: no probe is further away than the interval.
    return "open" if probe_at - longest_s <= now < probe_at else "half-open"


def first_probe(down: OpenBreaker, longest_s: float) -> float:
    """Return the time of the next probe of any stream that waits, in epoch seconds."""
    return min(next_probe(down, stream, longest_s) for stream in STREAMS if down.stages(stream))


def open_breakers_by_stage(downs: Iterable[OpenBreaker], stream: Stream) -> dict[Stage, OpenBreaker]:
    """Return stage -> the open breaker that it waits for, of one stream."""
    return {stage: down for down in downs if down.closed_at is None for stage in down.stages(stream)}


def format_time(moment: float) -> str:
    """Return epoch seconds as UTC text: ``2026-11-21 14:05``."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


def format_duration(seconds: float) -> str:
    """Return seconds as text: ``3 h 2 min``, ``4 min``."""
    minutes = max(1, round(seconds / 60))
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
