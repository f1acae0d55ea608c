"""Outages of dependencies: which stages they block, when the next probe is, and how many items wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chatai_assets.domain.circuit_breaker import (
    RECORDS,
    OpenBreaker,
    affected_name,
    display_name,
    first_probe,
    format_time,
    next_probe,
    open_breakers_by_stage,
)
from chatai_assets.domain.errors import AllBudgetsExceeded, Outage, StoreUnavailable, error_code
from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.domain.stages import STAGES, Stage
from chatai_assets.observability import BREAKER_CLOSED, BREAKER_OPEN, log
from chatai_assets.settings.models import ModelSettings
from chatai_assets.storage import outages
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records


def dependency_of(stage: Stage, models: ModelSettings) -> str:
    """Return what a stage needs besides the record store: a store, or the provider of the model it asks."""
    dependency = STAGES[stage].dependency
    providers = {"tagger": models.tagger, "extractor": models.extractor, "embedder": models.embedder}
    return providers.get(dependency, dependency)


def open_breaker_for(records: Records, stream: Stream, stage: Stage) -> OpenBreaker | None:
    """Return the outage that blocks a stage, or None."""
    with records.reading() as connection:
        return open_breakers_by_stage(outages.open_outages(connection), stream).get(stage)


def open_breaker(
    opened: Callable[[], Records], stream: Stream, stage: Stage, part: str, error: Outage, now: float
) -> OpenBreaker | None:
    """Open the circuit breaker of a dependency; return the outage, or None if none is recorded.

    An outage of the record store cannot be recorded in it; every process notices it by itself. A tenant's exhausted
    budget opens no breaker either, since it stops only that tenant.
    """
    part = error.part or part
    if part == RECORDS or isinstance(error, AllBudgetsExceeded):
        return None
    try:
        with opened().begin() as connection:
            outages.open_breaker(connection, part, affected_name(stream, stage), str(error), error_code(error), now)
            down = next(down for down in outages.open_outages(connection) if down.dependency == part)
    except StoreUnavailable:
        return None
    log.error(BREAKER_OPEN, part=part, stream=stream, stage=stage, error_class=error_code(error))
    return down


def record_success(
    records: Records, down: OpenBreaker, stream: Stream, stage: Stage, delayed: Mapping[str, int], now: float
) -> None:
    """Record that a stage succeeded although its dependency was down; the last affected stage closes the breaker.

    Args:
        delayed: stream -> items that waited for the dependency.
    """
    with records.begin() as connection:
        idle = [each for each in down.affected if not _has_waiting(connection, each)]
        closed = outages.record_success(
            connection, down.dependency, {affected_name(stream, stage), *idle}, now, delayed
        )
    if closed:
        log.warning(BREAKER_CLOSED, part=down.dependency, seconds=round(now - down.since))


def close_idle(records: Records, now: float) -> None:
    """Close the breakers for which no items wait, e.g. because all were erased or resolved by hand."""
    with records.begin() as connection:
        for down in outages.open_outages(connection):
            if not any(_has_waiting(connection, each) for each in down.affected):
                outages.record_success(connection, down.dependency, down.affected, now, {})


def record_probe(records: Records, downs: Sequence[OpenBreaker], stream: Stream, now: float) -> None:
    """Record a probe before it is requested, so that a crash in between costs one probe."""
    with records.begin() as connection:
        outages.record_probe(connection, downs, stream, now)


def count_waiting(records: Records, down: OpenBreaker) -> dict[str, int]:
    """Return stream -> items that wait for a dependency."""
    with records.reading() as connection:
        return {
            stream: work.count_waiting(connection, stream, down.stages(stream)) for stream in _affected_streams(down)
        }


def outage_sentence(down: OpenBreaker, waits: Mapping[str, int], probe_at: float | None = None) -> str:
    """Return in a few sentences what is down, since when, how many items wait, and when the next probe is."""
    counts = " and ".join(f"{count:,} {stream}" for stream, count in waits.items()) or "nothing"
    probe = "" if probe_at is None else f" The next probe is at {format_time(probe_at)} UTC."
    return f"{down_since(down)}: {down.reason.rstrip('.')}. {capitalized(counts)} wait; nothing is lost.{probe}"


def down_since(down: OpenBreaker) -> str:
    """Return what is down, and since when: ``GigaChat is down since 2026-11-26 03:37 UTC``."""
    return f"{capitalized(display_name(down.dependency))} is down since {format_time(down.since)} UTC"


def outages_as_json(records: Records, longest_s: float) -> list[dict[str, Any]]:
    """Return the open breakers as ``chatai status --json`` shows them."""
    with records.reading() as connection:
        downs = outages.open_outages(connection)
    return [
        {
            "part": down.dependency,
            "since": format_time(down.since),
            "reason": down.reason,
            "waiting": sum(count_waiting(records, down).values()),
            "next_probe": format_time(first_probe(down, longest_s)),
        }
        for down in downs
    ]


def describe_outages(
    records: Records, downs: Sequence[OpenBreaker], stream: Stream, longest_s: float | None = None
) -> str:
    """Return in a few sentences which outages affect a stream; "" if none does.

    Args:
        longest_s: maximum seconds between probes; if given, the time of the next probe is included.
    """
    sentences = []
    for down in (each for each in downs if each.stages(stream)):
        with records.reading() as connection:
            count = work.count_waiting(connection, stream, down.stages(stream))
        probe_at = None if longest_s is None else next_probe(down, stream, longest_s)
        sentences.append(outage_sentence(down, {stream: count}, probe_at))
    return " ".join(sentences)


def capitalized(text: str) -> str:
    """Return a text with its first letter in upper case and the rest unchanged."""
    return text[:1].upper() + text[1:]


def _affected_streams(down: OpenBreaker) -> list[Stream]:
    return [stream for stream in STREAMS if down.stages(stream)]


def _has_waiting(connection: Any, where: str) -> bool:
    for stream in STREAMS:
        prefix = f"{stream}/"
        if where.startswith(prefix):
            stage: Any = where.removeprefix(prefix)
            return work.count_waiting(connection, stream, [stage]) > 0
    return False
