"""Tombstones: items that expired or were forgotten, before and after their erasure.

Marking an item for erasure is one transaction: its work is deleted, and a tombstone records that it is to be erased. It
is then removed from vector index and graph, and last from the record store (``erasure``). After a crash in between the
tombstones say what is left to do. An edit that arrives before the end removes the tombstone: the item stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, TypedDict, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    literal,
    select,
    tuple_,
    update,
)

from chatai_assets.domain.ids import ItemKey, Stream, digest, stream_of
from chatai_assets.domain.revisions import Kind, KnownRevision
from chatai_assets.storage import dead_letters
from chatai_assets.storage.items import items_table
from chatai_assets.storage.schema import documents, tombstones, work
from chatai_assets.storage.sql import advisory_lock, columns_of, fetch_first, insert_into, lock_rows

Reason = Literal["expired", "forgotten"]
PendingErasures = Mapping[ItemKey, float]
"""Item -> when it was marked for erasure: it is erased only if it was not marked again since."""
NOTES: Mapping[Reason, str] = {"expired": "the item expired", "forgotten": "the item was forgotten"}
NO_HOUR = ""
"""Hour of a tombstone for an item that never arrived: it counts in no hour."""
KINDS: Mapping[Stream, Kind] = {"posts": "post", "documents": "document"}


def lock_inbox(connection: Connection, tenant_id: str, kind: Kind) -> None:
    """Block arrivals of a tenant and kind until the transaction ends."""
    advisory_lock(connection, f"inbox {kind} {tenant_id}")


def lock_inboxes(connection: Connection, keys: Iterable[ItemKey]) -> None:
    """Block arrivals of the tenants and kinds of items, in a fixed order so that two callers cannot deadlock."""
    for tenant_id, kind in sorted({(tenant_id, KINDS[stream_of(source_key)]) for tenant_id, source_key in keys}):
        lock_inbox(connection, tenant_id, kind)


def expired_keys(connection: Connection, stream: Stream, until: float, limit: int) -> list[ItemKey]:
    """Return items that expire at ``until`` (epoch seconds) or before and have no tombstone yet."""
    item = items_table(stream).c
    leaving = exists().where(tombstones.c.tenant_id == item.tenant_id, tombstones.c.source_key == item.source_key)
    due = select(item.tenant_id, item.source_key).where(item.expires_at <= until, ~leaving)
    return [
        ItemKey(tenant_id, key) for tenant_id, key in connection.execute(due.order_by(item.expires_at).limit(limit))
    ]


def mark_for_erasure(
    connection: Connection,
    stream: Stream,
    keys: Collection[ItemKey],
    reason: Reason,
    *,
    now: float,
    until: float | None,
) -> int:
    """Delete the work of items and write their tombstones; return how many items there were.

    Args:
        until: only those that expired then or before; None for all of them.
    """
    lock_inboxes(connection, keys)
    item = items_table(stream).c
    named = tuple_(item.tenant_id, item.source_key).in_(keys)
    # An edit may have arrived before the lock.
    mine = named if until is None else and_(named, item.expires_at <= until)
    rows = connection.execute(select(item.tenant_id, item.source_key).where(mine))
    going = [ItemKey(tenant_id, source_key) for tenant_id, source_key in rows]
    if not going:
        return 0
    at_work = tuple_(work.c.tenant_id, work.c.source_key).in_(going)
    lock_rows(connection, select(work.c.seq).where(at_work).order_by(work.c.seq, work.c.stage))
    connection.execute(delete(work).where(at_work))
    _write_marks(connection, stream, going, reason, now)
    for tenant_id, some in groupby(sorted(going), key=itemgetter(0)):
        source_keys = [key for _, key in some]
        if reason == "forgotten":
            _store_name_hashes(connection, tenant_id, source_keys)
            dead_letters.erase_items(connection, tenant_id, source_keys)
        else:
            dead_letters.resolve_items(connection, tenant_id, source_keys, NOTES[reason])
    return len(going)


def _write_marks(connection: Connection, stream: Stream, keys: Sequence[ItemKey], reason: Reason, now: float) -> None:
    item = items_table(stream).c
    copied = [item[name] for name in ("tenant_id", "source_key", "hour", "seq", "content_hash")]
    set_now = (
        _date(item.revised_at, reason, now).label("revised_at"),
        literal(stream).label("stream"),
        literal(reason).label("reason"),
        literal(now).label("condemned_at"),
    )
    rows = select(*copied, *set_now).where(tuple_(item.tenant_id, item.source_key).in_(keys))
    names = [column.name for column in (*copied, *set_now)]
    statement = insert_into(connection, tombstones).from_select(names, rows)
    changed = {name: statement.excluded[name] for name in names} | {"erased_at": None}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "source_key"], set_=changed))


def _date(revised_at: Any, reason: Reason, now: float) -> ColumnElement[Any]:
    """Return the date up to which arrivals do not bring an item back; for a forgotten item at least the present."""
    date = case((revised_at < int(now), int(now)), else_=revised_at) if reason == "forgotten" else revised_at
    return cast("ColumnElement[Any]", date)


def _store_name_hashes(connection: Connection, tenant_id: str, source_keys: Collection[str]) -> None:
    """Let forgotten documents be recognized if the same file arrives from another folder."""
    mine = and_(documents.c.tenant_id == tenant_id, documents.c.source_key.in_(source_keys))
    for key, name in connection.execute(select(documents.c.source_key, documents.c.file_name).where(mine)).all():
        stone = and_(tombstones.c.tenant_id == tenant_id, tombstones.c.source_key == key)
        connection.execute(update(tombstones).where(stone).values(name_hash=_name_hash(name)))


def _name_hash(file_name: str) -> str:
    return digest("file name", file_name)[:32]


def matching_tombstone(connection: Connection, tenant_id: str, file_name: str, content_hash: str) -> str | None:
    """Return the source key of a forgotten document with this file name and content, or None."""
    stone = tombstones.c
    same = (stone.tenant_id == tenant_id, stone.content_hash == content_hash, stone.name_hash == _name_hash(file_name))
    found = select(stone.source_key).where(*same, stone.reason == "forgotten").order_by(stone.seq).limit(1)
    return connection.execute(found).scalar()


def write_tombstones(connection: Connection, tenant_id: str, source_keys: Collection[str], *, now: float) -> None:
    """Write tombstones of posts that were deleted before they arrived; those of expired posts become forgotten."""
    rows = [
        {
            "tenant_id": tenant_id,
            "source_key": key,
            "stream": "posts",
            "hour": NO_HOUR,
            "seq": 0,
            "revised_at": int(now),
            "content_hash": "",
            "reason": "forgotten",
            "condemned_at": now,
            "erased_at": now,
        }
        for key in source_keys
    ]
    if not rows:
        return
    statement = insert_into(connection, tombstones)
    lasting = {"reason": "forgotten", "revised_at": _date(tombstones.c.revised_at, "forgotten", now)}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "source_key"], set_=lasting, where=tombstones.c.reason == "expired"
        ),
        rows,
    )


class Tombstone(TypedDict):
    """What is left of an item; moments are epoch seconds.

    Attributes:
        seq: its latest revision; so are ``revised_at`` and ``content_hash``.
        condemned_at: when it was marked for erasure, which is the fencing token of the erasure.
        erased_at: None while something of it may be left.
    """

    tenant_id: str
    source_key: str
    stream: Stream
    hour: str
    seq: int
    revised_at: int
    content_hash: str
    reason: Reason
    name_hash: str | None
    condemned_at: float
    erased_at: float | None


def tombstone_of(connection: Connection, key: ItemKey) -> Tombstone | None:
    """Return the tombstone of an item, or None."""
    mine = and_(tombstones.c.tenant_id == key.tenant_id, tombstones.c.source_key == key.source_key)
    return fetch_first(connection, select(*columns_of(tombstones, Tombstone)).where(mine), Tombstone)


def tenants_of_tombstones(connection: Connection, source_key: str) -> list[str]:
    """Return the tenants that have a tombstone of this source key."""
    mine = select(tombstones.c.tenant_id).where(tombstones.c.source_key == source_key)
    return list(connection.execute(mine.order_by(tombstones.c.tenant_id)).scalars())


def forgotten_tenants(connection: Connection) -> list[str]:
    """Return the tenants that have forgotten items."""
    mine = select(tombstones.c.tenant_id).where(tombstones.c.reason == "forgotten").distinct()
    return list(connection.execute(mine.order_by(tombstones.c.tenant_id)).scalars())


def any_forgotten(connection: Connection, tenant_id: str, source_keys: Collection[str]) -> bool:
    """Return whether any of these items was forgotten."""
    stone = tombstones.c
    mine = (stone.tenant_id == tenant_id, stone.source_key.in_(source_keys), stone.reason == "forgotten")
    return connection.execute(select(stone.seq).where(*mine).limit(1)).first() is not None


def pending_erasure_of(connection: Connection, keys: Collection[ItemKey]) -> dict[ItemKey, float]:
    """Return those of the items that are marked for erasure and not erased yet."""
    stone = tombstones.c
    mine = and_(tuple_(stone.tenant_id, stone.source_key).in_(keys), stone.erased_at.is_(None))
    rows = connection.execute(select(stone.tenant_id, stone.source_key, stone.condemned_at).where(mine))
    return {ItemKey(tenant_id, key): condemned_at for tenant_id, key, condemned_at in rows}


def pending_erasures(connection: Connection, limit: int) -> dict[ItemKey, float]:
    """Return items that are marked for erasure and not erased yet, oldest mark first."""
    stone = tombstones.c
    some = select(stone.tenant_id, stone.source_key, stone.condemned_at).where(stone.erased_at.is_(None))
    rows = connection.execute(some.order_by(stone.condemned_at).limit(limit))
    return {ItemKey(tenant_id, key): condemned_at for tenant_id, key, condemned_at in rows}


def still_pending(connection: Connection, items: PendingErasures) -> list[ItemKey]:
    """Return those of the items whose marks are unchanged, locked until the transaction ends."""
    stone = tombstones.c
    mine = and_(tuple_(stone.tenant_id, stone.source_key).in_(list(items)), stone.erased_at.is_(None))
    columns = (stone.tenant_id, stone.source_key, stone.condemned_at)
    rows = connection.execute(select(*columns).where(mine).order_by(*columns).with_for_update())
    found = ((ItemKey(tenant_id, key), at) for tenant_id, key, at in rows)
    return [key for key, at in found if items[key] == at]


def set_erased(connection: Connection, keys: Collection[ItemKey], now: float) -> None:
    """Record that items are erased from all stores."""
    mine = tuple_(tombstones.c.tenant_id, tombstones.c.source_key).in_(keys)
    connection.execute(update(tombstones).where(mine).values(erased_at=now))


def re_mark(connection: Connection, keys: Collection[ItemKey], now: float) -> int:
    """Mark items for erasure again because a store still holds something of them; return how many."""
    mine = tuple_(tombstones.c.tenant_id, tombstones.c.source_key).in_(keys)
    return connection.execute(update(tombstones).where(mine).values(condemned_at=now, erased_at=None)).rowcount


def erased_revisions(connection: Connection, tenant_id: str, keys: Collection[str]) -> dict[str, KnownRevision]:
    """Return source key -> latest known revision, of items with a tombstone."""
    stone = tombstones.c
    columns = (stone.source_key, stone.seq, stone.revised_at, stone.content_hash)
    rows = connection.execute(select(*columns).where(stone.tenant_id == tenant_id, stone.source_key.in_(keys)))
    return {
        key: KnownRevision(seq, revised_at, content_hash, erased=True) for key, seq, revised_at, content_hash in rows
    }


def remove(connection: Connection, tenant_id: str, keys: Collection[str]) -> None:
    """Delete tombstones: the items exist again."""
    mine = (tombstones.c.tenant_id == tenant_id, tombstones.c.source_key.in_(keys))
    connection.execute(delete(tombstones).where(*mine))
