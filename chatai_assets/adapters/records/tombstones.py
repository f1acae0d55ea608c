"""Items that leave: who is condemned, what is known of them after they were erased.

An item is condemned in one transaction: nobody can work on it any more, and a tombstone says that it is leaving. Vector
index and graph let go of it then, and last of all it is erased (``erasure``). Whoever is killed in between leaves
tombstones that say what is left to do. An edit that arrives before the end takes the tombstone away: the item lives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Literal

from sqlalchemy import Connection, and_, delete, exists, literal, select, tuple_, update

from chatai_assets.adapters.records import dead_letters
from chatai_assets.adapters.records.content import items_table
from chatai_assets.adapters.records.dialect import exclude_others, insert_into, lock_rows
from chatai_assets.adapters.records.schema import tombstones, work
from chatai_assets.adapters.records.work import Key
from chatai_assets.domain.keys import Stream
from chatai_assets.domain.revisions import Kind, Known

Reason = Literal["expired", "forgotten"]
Leaving = Mapping[Key, float]
"""Item -> when it was condemned: who erases it does so only if it was not condemned anew since."""
NOTES: Mapping[Reason, str] = {"expired": "the item expired", "forgotten": "the item was forgotten"}
KINDS: Mapping[Stream, Kind] = {"posts": "post", "documents": "document"}


def close_door(connection: Connection, tenant_id: str, kind: Kind) -> None:
    """Let nothing of a tenant and kind arrive until the transaction ends."""
    exclude_others(connection, f"inbox {kind} {tenant_id}")


def close_doors(connection: Connection, keys: Iterable[Key]) -> None:
    """Let nothing arrive of the kinds and tenants of some items, always in the same order, lest two deadlock."""
    for tenant_id, kind in sorted({(tenant_id, _kind_of(source_key)) for tenant_id, source_key in keys}):
        close_door(connection, tenant_id, kind)


def expired_keys(connection: Connection, stream: Stream, until: float, limit: int) -> list[Key]:
    """Return items whose time ended at ``until`` (epoch seconds) or before and that are not leaving yet."""
    item = items_table(stream).c
    leaving = exists().where(tombstones.c.tenant_id == item.tenant_id, tombstones.c.source_key == item.source_key)
    due = select(item.tenant_id, item.source_key).where(item.expires_at <= until, ~leaving)
    return [(tenant_id, key) for tenant_id, key in connection.execute(due.order_by(item.expires_at).limit(limit))]


def condemn(
    connection: Connection, stream: Stream, keys: Collection[Key], reason: Reason, *, now: float, until: float | None
) -> int:
    """Let items leave and nobody work on them any more; return how many there were.

    Args:
        until: only those that expired then or before; None for all of them.
    """
    close_doors(connection, keys)
    item = items_table(stream).c
    named = tuple_(item.tenant_id, item.source_key).in_(keys)
    # An edit may have come before the door was closed.
    mine = named if until is None else and_(named, item.expires_at <= until)
    rows = connection.execute(select(item.tenant_id, item.source_key).where(mine))
    going = [(tenant_id, source_key) for tenant_id, source_key in rows]
    if not going:
        return 0
    at_work = tuple_(work.c.tenant_id, work.c.source_key).in_(going)
    lock_rows(connection, select(work.c.seq).where(at_work).order_by(work.c.seq, work.c.stage))
    connection.execute(delete(work).where(at_work))
    _put_up(connection, stream, going, reason, now)
    for tenant_id, some in groupby(sorted(going), key=itemgetter(0)):
        dead_letters.resolve_items(connection, tenant_id, [key for _, key in some], NOTES[reason])
    return len(going)


def _put_up(connection: Connection, stream: Stream, keys: Sequence[Key], reason: Reason, now: float) -> None:
    item = items_table(stream).c
    copied = [item[name] for name in ("tenant_id", "source_key", "hour", "seq", "revised_at", "content_hash")]
    told = (literal(stream).label("stream"), literal(reason).label("reason"), literal(now).label("condemned_at"))
    rows = select(*copied, *told).where(tuple_(item.tenant_id, item.source_key).in_(keys))
    names = [column.name for column in (*copied, *told)]
    statement = insert_into(connection, tombstones).from_select(names, rows)
    changed = {name: statement.excluded[name] for name in names} | {"erased_at": None}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "source_key"], set_=changed))


def leaving(connection: Connection, limit: int) -> dict[Key, float]:
    """Return condemned items that are not erased yet, the first condemned first."""
    stone = tombstones.c
    some = select(stone.tenant_id, stone.source_key, stone.condemned_at).where(stone.erased_at.is_(None))
    rows = connection.execute(some.order_by(stone.condemned_at).limit(limit))
    return {(tenant_id, key): condemned_at for tenant_id, key, condemned_at in rows}


def still_leaving(connection: Connection, items: Leaving) -> list[Key]:
    """Return those of the items that nothing happened to since, and keep it so until the transaction ends."""
    stone = tombstones.c
    mine = and_(tuple_(stone.tenant_id, stone.source_key).in_(list(items)), stone.erased_at.is_(None))
    columns = (stone.tenant_id, stone.source_key, stone.condemned_at)
    rows = connection.execute(select(*columns).where(mine).order_by(*columns).with_for_update())
    return [(tenant_id, key) for tenant_id, key, at in rows if items[tenant_id, key] == at]


def set_erased(connection: Connection, keys: Collection[Key], now: float) -> None:
    """Record that nothing is left of items."""
    mine = tuple_(tombstones.c.tenant_id, tombstones.c.source_key).in_(keys)
    connection.execute(update(tombstones).where(mine).values(erased_at=now))


def condemn_again(connection: Connection, keys: Collection[Key], now: float) -> int:
    """Let items that were erased, or are about to be, leave once more, since a store still holds something of them."""
    mine = tuple_(tombstones.c.tenant_id, tombstones.c.source_key).in_(keys)
    return connection.execute(update(tombstones).where(mine).values(condemned_at=now, erased_at=None)).rowcount


def known_gone(connection: Connection, tenant_id: str, keys: Collection[str]) -> dict[str, Known]:
    """Return source key -> latest revision that was known, of items that left or are leaving."""
    stone = tombstones.c
    columns = (stone.source_key, stone.seq, stone.revised_at, stone.content_hash)
    rows = connection.execute(select(*columns).where(stone.tenant_id == tenant_id, stone.source_key.in_(keys)))
    return {key: Known(seq, revised_at, content_hash, gone=True) for key, seq, revised_at, content_hash in rows}


def remove(connection: Connection, tenant_id: str, keys: Collection[str]) -> None:
    """Let items live again."""
    mine = (tombstones.c.tenant_id == tenant_id, tombstones.c.source_key.in_(keys))
    connection.execute(delete(tombstones).where(*mine))


def _kind_of(source_key: str) -> Kind:
    return "post" if source_key.startswith("tg/") else "document"
