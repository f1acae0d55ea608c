"""Circuit breakers shared by all processes: one row per outage, at most one open row per dependency."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from chatai_assets.domain.circuit_breaker import REOPEN_WITHIN_S, OpenBreaker, Probes
from chatai_assets.domain.ids import Stream
from chatai_assets.storage.schema import outages
from chatai_assets.storage.sql import advisory_lock

LONGEST_REASON = 2_000


def open_outages(connection: Connection) -> list[OpenBreaker]:
    """Return the open outages, oldest first."""
    rows = connection.execute(select(outages).where(outages.c.closed_at.is_(None)).order_by(outages.c.id))
    return [_down(row) for row in rows.mappings()]


def list_not_notified(connection: Connection) -> list[OpenBreaker]:
    """Return the outages whose beginning or end people were not notified of yet, oldest first."""
    rows = connection.execute(select(outages).where(outages.c.settled.is_(False)).order_by(outages.c.id))
    return [_down(row) for row in rows.mappings()]


def mark_notified(connection: Connection, outage: int) -> None:
    """Record that people were notified of an outage and of its end."""
    connection.execute(update(outages).where(outages.c.id == outage).values(settled=True))


def open_breaker(connection: Connection, part: str, place: str, reason: str, error_class: str, now: float) -> None:
    """Open the breaker of a dependency, or add an affected stage to an open one.

    A breaker that was closed less than ``REOPEN_WITHIN_S`` ago is reopened: it is the same outage.

    Args:
        part: the dependency, e.g. a provider or a store.
        place: ``stream/stage`` that failed.
        now: epoch seconds.
    """
    advisory_lock(connection, "outages")
    found = _latest(connection, part)
    if found is None or (found["closed_at"] is not None and found["closed_at"] <= now - REOPEN_WITHIN_S):
        row = {"part": part, "since": now, "places": [place], "probes": {}, "late": {}, "settled": False}
        connection.execute(insert(outages).values(**row, reason=reason[:LONGEST_REASON], error_class=error_class))
        return
    places = sorted({place, *(found["places"] if found["closed_at"] is None else ())})
    changes = {"places": places, "closed_at": None, "reason": reason[:LONGEST_REASON], "error_class": error_class}
    connection.execute(update(outages).where(outages.c.id == found["id"]).values(**changes))


def record_success(
    connection: Connection, part: str, places: Collection[str], now: float, late: Mapping[str, int]
) -> bool:
    """Record that a dependency works again for some stages; the breaker closes when no affected stage is left.

    Args:
        part: the dependency.
        places: ``stream/stage`` that succeeded.
        late: stream -> items that were delayed; see ``OpenBreaker``.

    Returns:
        Whether this closed the breaker.
    """
    advisory_lock(connection, "outages")
    found = _latest(connection, part)
    if found is None or found["closed_at"] is not None:
        return False
    left = [place for place in found["places"] if place not in places]
    changes: dict[str, Any] = {"late": _more(found["late"], late)}
    changes |= {"places": left} if left else {"closed_at": now}
    connection.execute(update(outages).where(outages.c.id == found["id"]).values(**changes))
    return not left


def record_probe(connection: Connection, downs: Sequence[OpenBreaker], stream: Stream, now: float) -> None:
    """Record that a probe of a stream was requested, which tries all of these dependencies."""
    advisory_lock(connection, "outages")
    for down in downs:
        row = connection.execute(select(outages).where(outages.c.id == down.id)).mappings().one()
        before = _down(row).probes.get(stream, Probes())
        probes = {**row["probes"], stream: asdict(Probes(before.asked + 1, now))}
        connection.execute(update(outages).where(outages.c.id == down.id).values(probes=probes))


def _more(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return the larger counts of both."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {*one, *other}}


def _latest(connection: Connection, part: str) -> RowMapping | None:
    newest = select(outages).where(outages.c.part == part).order_by(outages.c.id.desc()).limit(1)
    return connection.execute(newest).mappings().one_or_none()


def _down(row: RowMapping) -> OpenBreaker:
    return OpenBreaker(
        id=row["id"],
        dependency=row["part"],
        since=row["since"],
        reason=row["reason"],
        affected=tuple(row["places"]),
        probes={stream: Probes(**probes) for stream, probes in row["probes"].items()},
        closed_at=row["closed_at"],
        delayed=row["late"],
    )
