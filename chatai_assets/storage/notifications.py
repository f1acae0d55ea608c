"""Which notifications were sent, so that each is sent once although several processes could send it.

The sender claims a notification for a while. If it crashes between sending and recording, the notification is sent
again after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select, update

from chatai_assets.storage.schema import announcements
from chatai_assets.storage.sql import advisory_lock, upsert

HELD_S = 90.0
"""How long a claim holds: longer than sending may take."""
TRIES = 5
"""How often a notification is retried for channels that refused it, at least one tick of the sensor apart."""


@dataclass(frozen=True, slots=True)
class NotificationClaim:
    """What is left to do for a notification.

    Attributes:
        state: ``mine`` to send it now, ``held`` by another sender, ``done``.
        only: the channels that refused it; None for all.
    """

    state: str
    only: Sequence[str] | None = None


def is_done(connection: Connection, name: str) -> bool:
    """Return whether all channels accepted a notification, or the retries for the others are used up."""
    return _is_done(_row(connection, name))


def claim(connection: Connection, name: str, now: float) -> NotificationClaim:
    """Claim a notification, unless it was sent or another sender holds it."""
    advisory_lock(connection, f"announcement|{name}")
    row = _row(connection, name)
    if _is_done(row):
        return NotificationClaim("done")
    if row and now < row["held_until"] <= now + HELD_S:  # a later time was written by a clock that was ahead
        return NotificationClaim("held")
    upsert(connection, announcements, [{"name": name, "held_until": now + HELD_S, "left": []}], update=["held_until"])
    return NotificationClaim("mine", row["left"] if row and row["told_at"] is not None else None)


def _row(connection: Connection, name: str) -> RowMapping | None:
    return connection.execute(select(announcements).where(announcements.c.name == name)).mappings().one_or_none()


def _is_done(row: RowMapping | None) -> bool:
    return bool(row and (row["tries"] >= TRIES or (row["told_at"] is not None and not row["left"])))


def mark_notified(connection: Connection, name: str, left: Sequence[str], now: float) -> None:
    """Record that a notification was sent, except to the channels in ``left``."""
    changes = {"told_at": now, "held_until": now, "left": list(left), "tries": announcements.c.tries + 1}
    connection.execute(update(announcements).where(announcements.c.name == name).values(**changes))
