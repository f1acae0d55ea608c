"""The work queue: one row per item and stage, from pending through working to done or failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, TypedDict

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.stages import PIPELINE_STAGES, SEARCH_STAGES, Stage, downstream_of
from chatai_assets.storage.schema import stage_stats, tombstones, work
from chatai_assets.storage.sql import columns_of, fetch_all, insert_into, lock_rows


class WorkRow(TypedDict):
    """The row of one item at one stage; moments are epoch seconds.

    Attributes:
        seq: the revision to work on.
        owner: fencing token of the claim; None unless ``state`` is ``working``.
        losses: processes that were lost with a claim on it.
        fingerprint: with what the last result was computed.
    """

    tenant_id: str
    source_key: str
    stage: Stage
    stream: Stream
    hour: str
    seq: int
    state: Literal["pending", "working", "done", "failed"]
    attempts: int
    next_attempt_at: float
    owner: str | None
    lease_until: float | None
    losses: int
    fingerprint: str | None
    error_class: str | None
    run_id: str | None
    changed_at: float


class BatchStats(TypedDict):
    """What one batch did: items by outcome; ``at`` is its end in epoch seconds."""

    run_id: str
    stream: Stream
    stage: Stage
    hour: str
    at: float
    done: int
    unchanged: int
    failed: int
    retried: int
    seconds: float


FREE = {"owner": None, "lease_until": None}
"""Column values of a row without a claim."""


def is_due(now: float) -> ColumnElement[bool]:
    """Return the condition for rows that may be claimed: pending ones whose time has come, and expired claims."""
    waiting = and_(work.c.state == "pending", work.c.next_attempt_at <= now)
    lapsed = and_(work.c.state == "working", work.c.lease_until < now)
    return or_(waiting, lapsed)


def mark_done(connection: Connection, owner: str, *, fingerprint: str, now: float) -> int:
    """Mark all rows that are still the owner's as done; return how many."""
    result = connection.execute(
        update(work)
        .where(work.c.owner == owner)
        .values(state="done", attempts=0, losses=0, error_class=None, fingerprint=fingerprint, changed_at=now, **FREE)
    )
    return result.rowcount


def mark_failed(connection: Connection, owner: str, failures: Sequence[tuple[ItemKey, str]], *, now: float) -> None:
    """Mark items of the owner as permanently failed: ``(key, error class)``."""
    _each(
        connection,
        owner,
        [(key, {"error": error_class}) for key, error_class in failures],
        {
            "state": "failed",
            "attempts": work.c.attempts + 1,
            "losses": 0,
            "error_class": bindparam("error"),
            "changed_at": now,
        },
    )


def reschedule(
    connection: Connection, owner: str, retries: Sequence[tuple[ItemKey, str, float]], *, now: float
) -> None:
    """Release items for a later attempt: ``(key, error class, epoch second of the attempt)``."""
    _each(
        connection,
        owner,
        [(key, {"error": error_class, "at": at}) for key, error_class, at in retries],
        {
            "state": "pending",
            "attempts": work.c.attempts + 1,
            "losses": 0,
            "error_class": bindparam("error"),
            "next_attempt_at": bindparam("at"),
            "changed_at": now,
        },
    )


def defer(connection: Connection, owner: str, later: Sequence[tuple[ItemKey, str, float]], *, now: float) -> None:
    """Release items that were not tried: ``(key, error class, epoch second of the attempt)``; no attempt is used up."""
    _each(
        connection,
        owner,
        [(key, {"error": error_class, "at": at}) for key, error_class, at in later],
        {"state": "pending", "error_class": bindparam("error"), "next_attempt_at": bindparam("at"), "changed_at": now},
    )


def has_deferred(
    connection: Connection, stream: Stream, stage: Stage, hour: str, error_class: str, *, now: float
) -> bool:
    """Return whether items of an hour are deferred with this error class until later than now."""
    mine = (work.c.stream == stream, work.c.stage == stage, work.c.state == "pending", work.c.hour == hour)
    later = (work.c.next_attempt_at > now, work.c.error_class == error_class)
    return connection.execute(select(work.c.seq).where(*mine, *later).limit(1)).first() is not None


def count_deferred(
    connection: Connection, stream: Stream, stages: Sequence[Stage], error_class: str, *, now: float
) -> dict[str, int]:
    """Return tenant -> rows that are deferred with this error class until later than now."""
    waiting = (work.c.stream == stream, work.c.stage.in_(stages), work.c.state == "pending")
    later = (work.c.next_attempt_at > now, work.c.error_class == error_class)
    rows = connection.execute(select(work.c.tenant_id, func.count()).where(*waiting, *later).group_by(work.c.tenant_id))
    return {tenant_id: count for tenant_id, count in rows}  # noqa: C416 - rows are Row objects, not pairs, to the type checker


def release_deferred(
    connection: Connection, stream: Stream, stages: Sequence[Stage], tenants: Sequence[str], error_class: str
) -> None:
    """Make rows of tenants due that were deferred with this error class."""
    waiting = (work.c.stream == stream, work.c.stage.in_(stages), work.c.state == "pending")
    theirs = (work.c.tenant_id.in_(tenants), work.c.error_class == error_class)
    if tenants:
        connection.execute(update(work).where(*waiting, *theirs).values(next_attempt_at=0.0, error_class=None))


def _each(
    connection: Connection, owner: str, rows: Sequence[tuple[ItemKey, dict[str, Any]]], values: dict[str, Any]
) -> None:
    if rows:
        connection.execute(
            update(work)
            .where(
                work.c.tenant_id == bindparam("tenant"), work.c.source_key == bindparam("key"), work.c.owner == owner
            )
            .values(**values, **FREE),
            [{"tenant": key.tenant_id, "key": key.source_key, **parameters} for key, parameters in rows],
        )


def enqueue(
    connection: Connection, owner: str, stages: Iterable[Stage], *, now: float, keys: Sequence[ItemKey] | None = None
) -> None:
    """Make stages pending for items of the owner that have no row of them yet.

    Args:
        keys: the items; all that are the owner's by default.
    """
    mine = work.c.owner == owner
    if keys is not None:
        mine = and_(mine, tuple_(work.c.tenant_id, work.c.source_key).in_(keys))
    for stage in stages:
        _add_rows(connection, stage, mine, now)


def enqueue_stage(connection: Connection, after: Stage, stage: Stage, keys: Sequence[ItemKey], *, now: float) -> None:
    """Make a stage pending for items that have a row of the stage ``after`` and none of this one."""
    if keys:
        named = tuple_(work.c.tenant_id, work.c.source_key).in_(keys)
        _add_rows(connection, stage, and_(work.c.stage == after, named), now)


def _add_rows(connection: Connection, stage: Stage, upstream: ColumnElement[bool], now: float) -> None:
    columns = ["tenant_id", "source_key", "stage", "stream", "hour", "seq", "state", "attempts", "changed_at"]
    copied = (work.c.stream, work.c.hour, work.c.seq, literal("pending"), literal(0), literal(now))
    rows = select(work.c.tenant_id, work.c.source_key, literal(stage), *copied).where(upstream)
    connection.execute(
        insert_into(connection, work)
        .from_select(columns, rows)
        .on_conflict_do_nothing(index_elements=["tenant_id", "source_key", "stage"])
    )


def requeue(
    connection: Connection, stage: Stage, keys: Sequence[ItemKey], *, now: float, owner: str | None = None
) -> None:
    """Make a stage pending again where it was already tried; a claim on it is lost.

    Args:
        owner: the claim that holds all of these items, if there is one: its rows are found faster than named keys.
    """
    if not keys:
        return
    named = and_(work.c.stage == stage, tuple_(work.c.tenant_id, work.c.source_key).in_(keys))
    # Locked first: a claim taken now would not see the new results that the stage is requeued for.
    lock_rows(connection, select(work.c.seq).where(named).order_by(work.c.seq))
    touched = _touched(connection, named) if owner is None else _touched_of_claim(connection, owner, stage, keys)
    if touched:
        connection.execute(
            update(work)
            .where(
                work.c.tenant_id == bindparam("tenant"), work.c.source_key == bindparam("key"), work.c.stage == stage
            )
            .values(state="pending", attempts=0, losses=0, next_attempt_at=0.0, changed_at=now, **FREE),
            [{"tenant": tenant_id, "key": source_key} for tenant_id, source_key in touched],
        )


def _touched(connection: Connection, rows: ColumnElement[bool]) -> list[ItemKey]:
    """Return the items of rows that were claimed or tried since they became pending; usually there are none."""
    touched = or_(work.c.state != "pending", work.c.attempts > 0, work.c.losses > 0)
    found = connection.execute(select(work.c.tenant_id, work.c.source_key).where(rows, touched))
    return [ItemKey(tenant_id, source_key) for tenant_id, source_key in found]


def _touched_of_claim(connection: Connection, owner: str, stage: Stage, keys: Sequence[ItemKey]) -> list[ItemKey]:
    held = work.alias("held")
    theirs = select(held.c.tenant_id, held.c.source_key).where(held.c.owner == owner)
    found = _touched(connection, and_(work.c.stage == stage, tuple_(work.c.tenant_id, work.c.source_key).in_(theirs)))
    wanted = set(keys)
    return [key for key in found if key in wanted]


def discard(connection: Connection, stage: Stage, keys: Sequence[ItemKey]) -> None:
    """Delete the rows of items at a stage; a claim on them is lost."""
    if keys:
        named = and_(work.c.stage == stage, tuple_(work.c.tenant_id, work.c.source_key).in_(keys))
        connection.execute(delete(work).where(named))


def redo(connection: Connection, key: ItemKey, stage: Stage, *, now: float) -> str | None:
    """Make one item pending again from a stage on; return its hour, or None if it has no row of that stage."""
    mine = and_(work.c.tenant_id == key.tenant_id, work.c.source_key == key.source_key)
    hour = connection.execute(select(work.c.hour).where(mine, work.c.stage == stage)).scalar()
    if hour is None:
        return None
    requeue(connection, stage, [key], now=now)
    connection.execute(update(work).where(mine, work.c.stage == stage).values(fingerprint=None))
    connection.execute(delete(work).where(mine, work.c.stage.in_(downstream_of(stage))))
    return str(hour)


def due_hours(
    connection: Connection, stream: Stream, *, now: float, stages: Collection[Stage] = PIPELINE_STAGES
) -> list[tuple[str, int]]:
    """Return the hours with due work of these stages and the number of due rows, newest hour first."""
    rows = connection.execute(
        select(work.c.hour, func.count())
        .where(work.c.stream == stream, work.c.stage.in_(stages), is_due(now))
        .group_by(work.c.hour)
        .order_by(work.c.hour.desc())
    )
    return [(hour, count) for hour, count in rows]


def open_hours(connection: Connection, stream: Stream) -> dict[str, int]:
    """Return hour -> unfinished items, due now or later, oldest hour first."""
    rows = connection.execute(
        select(work.c.hour, func.count(func.distinct(work.c.tenant_id + "|" + work.c.source_key)))
        .where(work.c.stream == stream, work.c.stage.in_(PIPELINE_STAGES), work.c.state.in_(("pending", "working")))
        .group_by(work.c.hour)
        .order_by(work.c.hour)
    )
    return {hour: count for hour, count in rows}  # noqa: C416 - rows are Row objects, not pairs, to the type checker


def open_rows(connection: Connection) -> dict[Stage, int]:
    """Return stage -> items that are not done with it, due now or later."""
    rows = connection.execute(
        select(work.c.stage, func.count())
        .where(work.c.stage.in_(PIPELINE_STAGES), work.c.state.in_(("pending", "working")))
        .group_by(work.c.stage)
    )
    return {stage: count for stage, count in rows}  # noqa: C416 - see above


def count_waiting(connection: Connection, stream: Stream, stages: Collection[Stage]) -> int:
    """Return the number of items that are unfinished at any of these stages, due now or later."""
    items = func.count(func.distinct(work.c.tenant_id + "|" + work.c.source_key))
    return connection.execute(
        select(items).where(work.c.stream == stream, work.c.stage.in_(stages), work.c.state.in_(("pending", "working")))
    ).scalar_one()


def hour_states(connection: Connection, stream: Stream, stage: Stage, hour: str) -> dict[str, int]:
    """Return state -> items of one hour at one stage; ``gone`` counts those that expired or were forgotten."""
    rows = connection.execute(
        select(work.c.state, func.count())
        .where(work.c.stream == stream, work.c.stage == stage, work.c.hour == hour)
        .group_by(work.c.state)
    )
    found = {state: count for state, count in rows}  # noqa: C416 - see above
    stone = tombstones.c
    left = select(func.count()).select_from(tombstones).where(stone.stream == stream, stone.hour == hour)
    gone = connection.execute(left).scalar_one()
    return found | ({"gone": gone} if gone else {})


def item_states(connection: Connection, stream: Stream) -> dict[str, int]:
    """Return how many items are ``searchable``, ``pending`` or ``failed``; the three add up to all items.

    An item is failed when a stage that search depends on failed permanently, searchable when its latest
    revision is indexed, else pending.
    """
    failed = func.max(case((and_(work.c.state == "failed", work.c.stage.in_(SEARCH_STAGES)), 1), else_=0))
    indexed = func.max(case((and_(work.c.state == "done", work.c.stage == "index"), 1), else_=0))
    items = (
        select(case((failed == 1, "failed"), (indexed == 1, "searchable"), else_="pending").label("state"))
        .where(work.c.stream == stream)
        .group_by(work.c.tenant_id, work.c.source_key)
        .subquery()
    )
    rows = connection.execute(select(items.c.state, func.count()).group_by(items.c.state))
    return {"searchable": 0, "pending": 0, "failed": 0} | {state: count for state, count in rows}  # noqa: C416 - see above


def find_rows(connection: Connection, stage: Stage, keys: Sequence[ItemKey]) -> dict[ItemKey, WorkRow]:
    """Return item -> its row of a stage, for items that have one."""
    named = and_(work.c.stage == stage, tuple_(work.c.tenant_id, work.c.source_key).in_(keys))
    found = fetch_all(connection, select(*columns_of(work, WorkRow)).where(named), WorkRow) if keys else ()
    return {ItemKey.of(row): row for row in found}


def stages_of(connection: Connection, key: ItemKey) -> list[WorkRow]:
    """Return the work rows of one item."""
    mine = and_(work.c.tenant_id == key.tenant_id, work.c.source_key == key.source_key)
    return fetch_all(connection, select(*columns_of(work, WorkRow)).where(mine), WorkRow)


def add_stats(connection: Connection, row: BatchStats) -> None:
    """Append the statistics of a batch."""
    connection.execute(insert(stage_stats), [row])
