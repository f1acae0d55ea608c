"""What people were told, so that it is told once, whoever is about to tell it.

Whoever takes an announcement holds it for a while. Killed between telling and noting, it is told again after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select, update

from chatai_assets.storage.schema import announcements
from chatai_assets.storage.sql import advisory_lock, upsert

HELD_S = 90.0
"""Longer than an announcement may take."""
TRIES = 5
"""Times a channel that did not take it is told again, a tick of the sensor apart or more; then it is left alone."""


@dataclass(frozen=True, slots=True)
class NotificationClaim:
    """What is left to do for an announcement.

    Attributes:
        state: ``mine`` to tell it now, ``held`` by somebody else, ``done``.
        only: the channels that did not take it; None for all.
    """

    state: str
    only: Sequence[str] | None = None


def is_done(connection: Connection, name: str) -> bool:
    """Return whether all channels took an announcement, or those that did not are left alone."""
    return _is_done(_row(connection, name))


def claim(connection: Connection, name: str, now: float) -> NotificationClaim:
    """Take an announcement, unless it was told or somebody else is about to tell it."""
    advisory_lock(connection, f"announcement|{name}")
    row = _row(connection, name)
    if _is_done(row):
        return NotificationClaim("done")
    if row and now < row["held_until"] <= now + HELD_S:  # later than that only a clock that was ahead says
        return NotificationClaim("held")
    upsert(connection, announcements, [{"name": name, "held_until": now + HELD_S, "left": []}], update=["held_until"])
    return NotificationClaim("mine", row["left"] if row and row["told_at"] is not None else None)


def _row(connection: Connection, name: str) -> RowMapping | None:
    return connection.execute(select(announcements).where(announcements.c.name == name)).mappings().one_or_none()


def _is_done(row: RowMapping | None) -> bool:
    return bool(row and (row["tries"] >= TRIES or (row["told_at"] is not None and not row["left"])))


def mark_notified(connection: Connection, name: str, left: Sequence[str], now: float) -> None:
    """Note that an announcement was told, except to some channels."""
    changes = {"told_at": now, "held_until": now, "left": list(left), "tries": announcements.c.tries + 1}
    connection.execute(update(announcements).where(announcements.c.name == name).values(**changes))
