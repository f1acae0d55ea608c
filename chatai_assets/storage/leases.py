"""Claims on work: with a lease that is renewed and a fencing token that never repeats.

A claim marks rows with its owner token, and every statement of the batch selects "the rows of this owner". What
takes a row away (a newer revision, a redo, an expired lease) clears or replaces the token, so that a slow owner finds
nothing left to commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, tuple_, update

from chatai_assets.domain.ids import STREAMS, ItemKey, Stream, hour_of
from chatai_assets.domain.stages import ALL_STAGES, Stage
from chatai_assets.storage.inbox import NEWEST_HOUR
from chatai_assets.storage.key_values import get_value, put_value
from chatai_assets.storage.schema import documents, posts, work
from chatai_assets.storage.sql import advisory_lock
from chatai_assets.storage.work_queue import FREE, is_due

ISOLATE_AFTER = 2
"""Lost claims after which an item is claimed alone; after the first one it is claimed in small groups."""
POISON_AFTER = ISOLATE_AFTER + 3
"""Lost claims after which an item counts as a poison item; it was alone in the last three of them."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A request to claim items.

    Attributes:
        owner: fencing token, never used before.
        limit: items at most.
        now: epoch seconds.
        lease_until: epoch seconds at which the claim expires unless it is renewed.
        only: the one item to claim, for a redo; None claims what is due.
    """

    owner: str
    stream: Stream
    stage: Stage
    hour: str
    limit: int
    now: float
    lease_until: float
    run_id: str
    only: ItemKey | None = None


def claim(connection: Connection, wanted: Claim, is_running: Callable[[str], bool] = lambda _owner: False) -> int:
    """Claim due rows for an owner, round robin between tenants, oldest arrival first; return how many.

    Items whose claim was lost with a process may have crashed it. They are claimed after all others, and in smaller
    batches: after the first loss as many as the square root of the limit, later one at a time.

    Args:
        is_running: whether an owner's process is known to be alive; its expired leases do not count as losses.
    """
    advisory_lock(connection, f"claim {wanted.stream} {wanted.stage} {wanted.hour}")
    here = (work.c.stream == wanted.stream, work.c.stage == wanted.stage, work.c.hour == wanted.hour)
    reclaim_expired(connection, wanted.now, is_running, *here)
    size = _take(connection, wanted, work.c.losses == 0, wanted.limit)
    if size:
        return size
    least = connection.execute(_due(wanted, func.min(work.c.losses))).scalar()
    if least is None:
        return 0
    return _take(connection, wanted, work.c.losses == least, 1 if least >= ISOLATE_AFTER else isqrt(wanted.limit))


def _take(connection: Connection, wanted: Claim, losses: ColumnElement[bool], limit: int) -> int:
    chosen = _first(connection, wanted, losses).limit(limit)
    # Rows that are locked at this moment are left for the next claim: waiting for them could deadlock.
    free = (
        select(work.c.tenant_id, work.c.source_key)
        .where(work.c.stage == wanted.stage, tuple_(work.c.tenant_id, work.c.source_key).in_(chosen))
        .with_for_update(skip_locked=True)
    )
    result = connection.execute(
        update(work)
        .where(work.c.stage == wanted.stage, tuple_(work.c.tenant_id, work.c.source_key).in_(free))
        .values(
            state="working",
            owner=wanted.owner,
            lease_until=wanted.lease_until,
            run_id=wanted.run_id,
            changed_at=wanted.now,
        )
    )
    return result.rowcount


def _first(connection: Connection, wanted: Claim, losses: ColumnElement[bool]) -> Select[Any]:
    """Return a select of the keys of due rows, round robin between tenants.

    Round robin numbers all rows, which makes a claim take four times as long; usually only one tenant has due rows.
    """
    ends = connection.execute(_due(wanted, func.min(work.c.tenant_id), func.max(work.c.tenant_id)).where(losses)).one()
    if ends[0] == ends[1]:
        return _due(wanted, work.c.tenant_id, work.c.source_key).where(losses).order_by(work.c.seq)
    # A WITH in front of an UPDATE would hide its row count from sqlite3, hence subqueries.
    due = _due(wanted, work.c.tenant_id, work.c.source_key, work.c.seq).where(losses).subquery("due")
    turn = func.row_number().over(partition_by=due.c.tenant_id, order_by=due.c.seq)
    ranked = select(due, turn.label("turn")).subquery()
    return select(ranked.c.tenant_id, ranked.c.source_key).order_by(ranked.c.turn, ranked.c.seq)


def _due(wanted: Claim, *columns: Any) -> Select[Any]:
    statement = select(*columns).where(
        work.c.stream == wanted.stream, work.c.stage == wanted.stage, work.c.hour == wanted.hour, is_due(wanted.now)
    )
    if wanted.only:
        statement = statement.where(work.c.tenant_id == wanted.only[0], work.c.source_key == wanted.only[1])
    return statement


def still_owned(connection: Connection, owner: str) -> set[ItemKey]:
    """Return the items that still belong to the owner, locked until the transaction ends."""
    rows = connection.execute(
        select(work.c.tenant_id, work.c.source_key).where(work.c.owner == owner).order_by(work.c.seq).with_for_update()
    )
    return {ItemKey(tenant_id, source_key) for tenant_id, source_key in rows}


def renew(connection: Connection, owner: str, lease_until: float) -> None:
    """Extend the lease of a claim; rows locked by a commit or a reclaim at this moment are skipped."""
    free = select(work.c.tenant_id, work.c.source_key).where(work.c.owner == owner).with_for_update(skip_locked=True)
    connection.execute(
        update(work)
        .where(work.c.owner == owner, tuple_(work.c.tenant_id, work.c.source_key).in_(free))
        .values(lease_until=lease_until)
    )


def release(connection: Connection, owner: str) -> None:
    """Release the rows that a claim still holds; no attempt is used up."""
    connection.execute(update(work).where(work.c.owner == owner).values(state="pending", **FREE))


def is_idle(connection: Connection) -> bool:
    """Return whether nothing is claimed."""
    return connection.execute(select(work.c.seq).where(work.c.owner.is_not(None)).limit(1)).first() is None


def reclaim_dead(connection: Connection, is_gone: Callable[[str], bool]) -> int:
    """Release the claims of dead owners and count a loss for each row; return the number of owners."""
    owners = connection.execute(select(work.c.owner).where(work.c.owner.is_not(None)).distinct()).scalars().all()
    gone = [owner for owner in owners if owner and is_gone(owner)]
    if gone:
        lost = update(work).where(work.c.owner.in_(gone))
        connection.execute(lost.values(state="pending", losses=work.c.losses + 1, **FREE))
    return len(gone)


def reclaim_expired(
    connection: Connection, now: float, is_running: Callable[[str], bool], *where: ColumnElement[bool]
) -> int:
    """Release claims whose lease has expired; return the number of rows.

    Args:
        is_running: whether an owner's process is known to be alive. Its rows did not crash it and count no loss: it
            could not renew in time, or never learned that its claim had succeeded.
    """
    lapsed = and_(work.c.state == "working", work.c.lease_until < now, *where)
    owners = connection.execute(select(work.c.owner).where(lapsed).distinct()).scalars().all()
    running = [owner for owner in owners if owner and is_running(owner)]
    gone = [owner for owner in owners if owner and owner not in running]
    return sum(_reclaim(connection, lapsed, named, lost) for named, lost in ((running, 0), (gone, 1)) if named)


def leases_beyond(connection: Connection, beyond: float) -> dict[str, float]:
    """Return owner -> end of its lease, for leases that end later than any correct clock could have set."""
    far = and_(work.c.state == "working", work.c.lease_until > beyond, work.c.owner.is_not(None))
    rows = connection.execute(select(work.c.owner, func.max(work.c.lease_until)).where(far).group_by(work.c.owner))
    return {owner: lease_until for owner, lease_until in rows if owner}


def reclaim_stalled(connection: Connection, leases: Mapping[str, float]) -> int:
    """Release the claims of stalled owners, unless the lease was renewed meanwhile; return the number of rows."""
    silent = [and_(work.c.owner == owner, work.c.lease_until <= lease_until) for owner, lease_until in leases.items()]
    if not silent:
        return 0
    given_back = update(work).where(or_(*silent)).values(state="pending", losses=work.c.losses + 1, **FREE)
    return connection.execute(given_back).rowcount


def _reclaim(connection: Connection, lapsed: ColumnElement[bool], owners: Sequence[str], lost: int) -> int:
    theirs = and_(lapsed, work.c.owner.in_(owners))
    # A row that its owner commits or renews at this moment is locked and stays with it.
    free = select(work.c.tenant_id, work.c.source_key, work.c.stage).where(theirs).with_for_update(skip_locked=True)
    same = tuple_(work.c.tenant_id, work.c.source_key, work.c.stage).in_(free)
    given_back = update(work).where(theirs, same).values(state="pending", losses=work.c.losses + lost, **FREE)
    return connection.execute(given_back).rowcount


MAX_CLOCK_SKEW_S = 300.0
"""Smaller differences between the clocks of machines are tolerated."""
PENDING = (work.c.stream.in_(STREAMS), work.c.stage.in_(ALL_STAGES), work.c.state == "pending")
"""The conditions on stream and stage select everything, but let the database use an index."""


def clamp_future_delays(connection: Connection, now: float) -> int:
    """Let delays that start in the future start now, with unchanged length; return how many there were."""
    future = (work.c.next_attempt_at > now, work.c.changed_at > now + MAX_CLOCK_SKEW_S)
    pause_s = work.c.next_attempt_at - work.c.changed_at
    shifted = update(work).where(*PENDING, *future).values(next_attempt_at=now + pause_s, changed_at=now)
    return connection.execute(shifted).rowcount


def clamp_future_hours(connection: Connection, now: float, first_hour: str) -> int:
    """Move items of future hours, and of hours before the first, to the current hour; return the number of work rows.

    Such hours have no partition, so nothing would process them: future ones until they begin, earlier ones never.
    """
    running, latest = max(hour_of(now), first_hour), max(hour_of(now + MAX_CLOCK_SKEW_S), first_hour)
    if str(get_value(connection, NEWEST_HOUR) or "") > latest:
        advisory_lock(connection, NEWEST_HOUR)
        put_value(connection, NEWEST_HOUR, running)
    strange = or_(work.c.hour > latest, work.c.hour < first_hour)
    hours = connection.execute(select(work.c.hour).where(*PENDING, strange).distinct()).scalars().all()
    if not hours:
        return 0
    for table in (posts, documents):
        connection.execute(update(table).where(table.c.hour.in_(hours)).values(hour=running))
    return connection.execute(update(work).where(work.c.hour.in_(hours)).values(hour=running)).rowcount
