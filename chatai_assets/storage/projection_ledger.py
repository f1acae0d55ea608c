"""What each projection holds of an item: intended before it is written, confirmed after."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, and_, delete, select, tuple_

from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.projection_plan import UNKNOWN, LedgerEntry
from chatai_assets.storage.items import claimed_by
from chatai_assets.storage.key_values import delete_value, get_value, put_value
from chatai_assets.storage.schema import checkpoints, index_ledger
from chatai_assets.storage.sql import batched, upsert

Projection = str
"""``graph``, or a vector index: ``vectors`` is the first, ``vectors/2`` the second that there ever was."""
FORGOTTEN_AT_ONCE = 2_000
NOTHING = LedgerEntry(intended={}, confirmed={})


def entries_of_claim(connection: Connection, owner: str, projection: Projection) -> dict[ItemKey, LedgerEntry]:
    """Return what the ledger says of the items of a claim; unknown ones are left out."""
    entry = index_ledger.c
    statement = claimed_by(
        index_ledger, entry.tenant_id, entry.source_key, entry.intended, entry.confirmed, owner=owner
    )
    rows = connection.execute(statement.where(entry.projection == projection))
    return {ItemKey(tenant, key): LedgerEntry(intended, confirmed) for tenant, key, intended, confirmed in rows}


def find_entries(connection: Connection, keys: Sequence[ItemKey], projection: Projection) -> dict[ItemKey, LedgerEntry]:
    """Return what the ledger says of items; unknown ones are left out."""
    entry, found = index_ledger.c, dict[ItemKey, LedgerEntry]()
    for some in batched(keys):
        mine = (entry.projection == projection, tuple_(entry.tenant_id, entry.source_key).in_(some))
        rows = connection.execute(
            select(entry.tenant_id, entry.source_key, entry.intended, entry.confirmed).where(*mine)
        )
        found.update(
            {ItemKey(tenant, key): LedgerEntry(intended, confirmed) for tenant, key, intended, confirmed in rows}
        )
    return found


def holds_any(connection: Connection, keys: Sequence[ItemKey], projection: Projection) -> bool:
    """Return whether a projection holds or may hold anything of some items."""
    entry = index_ledger.c
    for some in batched(keys):
        mine = (entry.projection == projection, tuple_(entry.tenant_id, entry.source_key).in_(some))
        if connection.execute(select(entry.source_key).where(*mine).limit(1)).first():
            return True
    return False


def intend(
    connection: Connection,
    projection: Projection,
    intentions: Mapping[ItemKey, Mapping[str, str]],
    before: Mapping[ItemKey, LedgerEntry],
) -> None:
    """Record what is about to be written; what is confirmed stays as it was."""
    _write(
        connection, projection, {key: LedgerEntry(wanted, before[key].confirmed) for key, wanted in intentions.items()}
    )


def confirm(connection: Connection, projection: Projection, holdings: Mapping[ItemKey, Mapping[str, str]]) -> None:
    """Record what a projection surely holds now, and that nothing else is under way."""
    _write(connection, projection, {key: LedgerEntry({}, held) for key, held in holdings.items()})


def _write(connection: Connection, projection: Projection, entries: Mapping[ItemKey, LedgerEntry]) -> None:
    rows = [
        {
            "tenant_id": key.tenant_id,
            "source_key": key.source_key,
            "projection": projection,
            "intended": dict(entry.intended),
            "confirmed": dict(entry.confirmed),
        }
        for key, entry in entries.items()
    ]
    upsert(connection, index_ledger, rows)


def some_keys(connection: Connection, projection: Projection, limit: int) -> list[ItemKey]:
    """Return some of the items of which a projection holds or may hold something; which ones is left open."""
    entry = index_ledger.c
    rows = connection.execute(
        select(entry.tenant_id, entry.source_key).where(entry.projection == projection).limit(limit)
    )
    return [ItemKey(tenant, key) for tenant, key in rows]


def entries(
    connection: Connection, projection: Projection, after: ItemKey | None, limit: int
) -> list[tuple[ItemKey, LedgerEntry]]:
    """Return the next entries after a key, in the order of keys; those of items that were let go are empty."""
    entry = index_ledger.c
    place = tuple_(entry.tenant_id, entry.source_key)
    statement = select(entry.tenant_id, entry.source_key, entry.intended, entry.confirmed)
    statement = statement.where(entry.projection == projection).order_by(entry.tenant_id, entry.source_key).limit(limit)
    rows = connection.execute(statement if after is None else statement.where(place > after))
    return [(ItemKey(tenant, key), LedgerEntry(intended, confirmed)) for tenant, key, intended, confirmed in rows]


def forget(connection: Connection, projection: Projection, keys: Sequence[ItemKey]) -> None:
    """Drop what is recorded of items."""
    entry = index_ledger.c
    connection.execute(
        delete(index_ledger).where(entry.projection == projection, tuple_(entry.tenant_id, entry.source_key).in_(keys))
    )


def forget_some(connection: Connection, projection: Projection) -> int:
    """Drop what is recorded of some items; return how many, 0 once nothing is left of the projection."""
    keys = some_keys(connection, projection, FORGOTTEN_AT_ONCE)
    if keys:
        forget(connection, projection, keys)
    return len(keys)


def mark_unknown(connection: Connection, projection: Projection, found: Mapping[ItemKey, Collection[str]]) -> None:
    """Record ids that were found in a projection, of unknown content, beside those recorded already."""
    entry = index_ledger.c
    rows = connection.execute(
        select(entry.tenant_id, entry.source_key, entry.intended).where(
            entry.projection == projection, tuple_(entry.tenant_id, entry.source_key).in_(list(found))
        )
    )
    before: dict[ItemKey, dict[str, str]] = {ItemKey(tenant, key): intended for tenant, key, intended in rows}
    holdings = {key: LedgerEntry(before.get(key, {}) | dict.fromkeys(ids, UNKNOWN), {}) for key, ids in found.items()}
    _write(connection, projection, holdings)


def projected_items(connection: Connection, owner: str) -> set[ItemKey]:
    """Return the items of a claim of which some projection holds or may hold something."""
    entry = index_ledger.c
    rows = connection.execute(claimed_by(index_ledger, entry.tenant_id, entry.source_key, owner=owner).distinct())
    return {ItemKey(tenant, key) for tenant, key in rows}


def holdings_of_item(connection: Connection, key: ItemKey) -> dict[str, LedgerEntry]:
    """Return projection -> what it holds of one item."""
    entry = index_ledger.c
    mine = and_(entry.tenant_id == key.tenant_id, entry.source_key == key.source_key)
    rows = connection.execute(select(entry.projection, entry.intended, entry.confirmed).where(mine))
    return {projection: LedgerEntry(intended, confirmed) for projection, intended, confirmed in rows}


Generations = tuple[str | None, str | None]
"""What the last turn found, or left if it was confirmed; and what it was about to leave."""


def expected_generations(connection: Connection, projection: Projection) -> Generations:
    """Return the two marks the projection may have; None is that of a new store."""
    known, coming = get_value(connection, _name(projection)) or (None, None)
    return known, coming


def set_generations(connection: Connection, projection: Projection, known: str | None, coming: str | None) -> None:
    """Record what a turn found and what it is about to leave; while the store is held, or being recovered."""
    put_value(connection, _name(projection), [known, coming])


def confirm_generation(connection: Connection, projection: Projection, mark: str) -> None:
    """Record that a mark was left, unless another turn has come since, which has seen it itself."""
    name = _name(projection)
    connection.execute(select(checkpoints.c.name).where(checkpoints.c.name == name).with_for_update())
    if expected_generations(connection, projection)[1] == mark:
        set_generations(connection, projection, mark, mark)


def forget_generations(connection: Connection, projection: Projection) -> None:
    """Forget a projection that is no more."""
    delete_value(connection, _name(projection))


def _name(projection: Projection) -> str:
    return f"mark of the {projection}"
