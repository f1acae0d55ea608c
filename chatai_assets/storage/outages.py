"""The breakers that all processes share: one row per outage, one open row per part at most."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from chatai_assets.domain.circuit_breaker import SETTLED_S, OpenBreaker, Probes
from chatai_assets.domain.ids import Stream
from chatai_assets.storage.schema import outages
from chatai_assets.storage.sql import advisory_lock

LONGEST_REASON = 2_000


def open_outages(connection: Connection) -> list[OpenBreaker]:
    """Return the outages that last, the oldest first."""
    rows = connection.execute(select(outages).where(outages.c.closed_at.is_(None)).order_by(outages.c.id))
    return [_down(row) for row in rows.mappings()]


def list_not_notified(connection: Connection) -> list[OpenBreaker]:
    """Return the outages of which people were not told everything yet, the oldest first."""
    rows = connection.execute(select(outages).where(outages.c.settled.is_(False)).order_by(outages.c.id))
    return [_down(row) for row in rows.mappings()]


def mark_notified(connection: Connection, outage: int) -> None:
    """Note that people know of an outage and of its end."""
    connection.execute(update(outages).where(outages.c.id == outage).values(settled=True))


def open_breaker(connection: Connection, part: str, place: str, reason: str, error_class: str, now: float) -> None:
    """Open the breaker of a part, or note that it is still open, at one more place.

    One that was closed a moment ago is opened again instead: it is the same outage.
    """
    advisory_lock(connection, "outages")
    found = _latest(connection, part)
    if found is None or (found["closed_at"] is not None and found["closed_at"] <= now - SETTLED_S):
        row = {"part": part, "since": now, "places": [place], "probes": {}, "late": {}, "settled": False}
        connection.execute(insert(outages).values(**row, reason=reason[:LONGEST_REASON], error_class=error_class))
        return
    places = sorted({place, *(found["places"] if found["closed_at"] is None else ())})
    changes = {"places": places, "closed_at": None, "reason": reason[:LONGEST_REASON], "error_class": error_class}
    connection.execute(update(outages).where(outages.c.id == found["id"]).values(**changes))


def record_success(
    connection: Connection, part: str, places: Collection[str], now: float, late: Mapping[str, int]
) -> bool:
    """Note that a part works again at some places; when none is left its breaker closes.

    Args:
        late: what waited for it; see ``OpenBreaker``.

    Returns:
        Whether it was closed by this.
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
    """Note that a probe of a stream is asked for, which tries all of these parts."""
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
        part=row["part"],
        since=row["since"],
        reason=row["reason"],
        affected=tuple(row["places"]),
        probes={stream: Probes(**probes) for stream, probes in row["probes"].items()},
        closed_at=row["closed_at"],
        delayed=row["late"],
    )
