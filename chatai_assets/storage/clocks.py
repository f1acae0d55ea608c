"""Putting right what a clock that was ahead wrote; what one that was behind wrote is only due a little early.

Who decides what is due decides by its clock: pauses, and hours of arrival that have not begun, are moved to that.
Leases are not: whether their owner lives is seen from their being renewed (``claims.far_leases``).
"""

from __future__ import annotations

from sqlalchemy import Connection, or_, select, update

from chatai_assets.domain.ids import ALL_WORK, STREAMS, hour_of
from chatai_assets.storage.inbox import NEWEST_HOUR
from chatai_assets.storage.key_values import read_checkpoint, write_checkpoint
from chatai_assets.storage.schema.tables import documents, posts, work
from chatai_assets.storage.sql import exclude_others

AHEAD_S = 300.0
"""Machines whose clocks differ by less are left to themselves."""
PENDING = (work.c.stream.in_(STREAMS), work.c.stage.in_(ALL_WORK), work.c.state == "pending")
"""Stream and stage choose nothing, but let an index be used."""


def shorten_pauses(connection: Connection, now: float) -> int:
    """Let pauses that began in the future begin now, each as long as it is; return how many there were."""
    future = (work.c.next_attempt_at > now, work.c.changed_at > now + AHEAD_S)
    pause_s = work.c.next_attempt_at - work.c.changed_at
    begun_now = update(work).where(*PENDING, *future).values(next_attempt_at=now + pause_s, changed_at=now)
    return connection.execute(begun_now).rowcount


def bring_back_hours(connection: Connection, now: float, first_hour: str) -> int:
    """Let what arrived in hours that have not begun belong to the running one; return how many rows of work that were.

    An hour that has not begun is no partition, so nobody would work on it before it has; nor on one before the first.
    """
    running, latest = max(hour_of(now), first_hour), max(hour_of(now + AHEAD_S), first_hour)
    if str(read_checkpoint(connection, NEWEST_HOUR) or "") > latest:
        exclude_others(connection, NEWEST_HOUR)
        write_checkpoint(connection, NEWEST_HOUR, running)
    strange = or_(work.c.hour > latest, work.c.hour < first_hour)
    hours = connection.execute(select(work.c.hour).where(*PENDING, strange).distinct()).scalars().all()
    if not hours:
        return 0
    for table in (posts, documents):
        connection.execute(update(table).where(table.c.hour.in_(hours)).values(hour=running))
    return connection.execute(update(work).where(work.c.hour.in_(hours)).values(hour=running)).rowcount
