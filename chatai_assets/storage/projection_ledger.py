"""The ledger of what each projection holds of an item: intended before the write, confirmed after it."""

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
    """Return the ledger entries of the items of a claim; items without an entry are left out."""
    entry = index_ledger.c
    statement = claimed_by(
        index_ledger, entry.tenant_id, entry.source_key, entry.intended, entry.confirmed, owner=owner
    )
    rows = connection.execute(statement.where(entry.projection == projection))
    return {ItemKey(tenant, key): LedgerEntry(intended, confirmed) for tenant, key, intended, confirmed in rows}


def find_entries(connection: Connection, keys: Sequence[ItemKey], projection: Projection) -> dict[ItemKey, LedgerEntry]:
    """Return the ledger entries of items; items without an entry are left out."""
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
    """Return whether a projection holds or may hold anything of these items."""
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
    """Record what is about to be written; confirmed parts stay as they are."""
    _write(
        connection, projection, {key: LedgerEntry(wanted, before[key].confirmed) for key, wanted in intentions.items()}
    )


def confirm(connection: Connection, projection: Projection, holdings: Mapping[ItemKey, Mapping[str, str]]) -> None:
    """Record what a projection holds now, with no intended writes left."""
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
    """Return some of the items that a projection holds or may hold, in any order."""
    entry = index_ledger.c
    rows = connection.execute(
        select(entry.tenant_id, entry.source_key).where(entry.projection == projection).limit(limit)
    )
    return [ItemKey(tenant, key) for tenant, key in rows]


def entries(
    connection: Connection, projection: Projection, after: ItemKey | None, limit: int
) -> list[tuple[ItemKey, LedgerEntry]]:
    """Return the next entries after a key, in the order of keys; entries of erased items are empty."""
    entry = index_ledger.c
    place = tuple_(entry.tenant_id, entry.source_key)
    statement = select(entry.tenant_id, entry.source_key, entry.intended, entry.confirmed)
    statement = statement.where(entry.projection == projection).order_by(entry.tenant_id, entry.source_key).limit(limit)
    rows = connection.execute(statement if after is None else statement.where(place > after))
    return [(ItemKey(tenant, key), LedgerEntry(intended, confirmed)) for tenant, key, intended, confirmed in rows]


def forget(connection: Connection, projection: Projection, keys: Sequence[ItemKey]) -> None:
    """Delete the entries of items."""
    entry = index_ledger.c
    connection.execute(
        delete(index_ledger).where(entry.projection == projection, tuple_(entry.tenant_id, entry.source_key).in_(keys))
    )


def forget_some(connection: Connection, projection: Projection) -> int:
    """Delete the entries of some items; return how many, 0 once the projection has none."""
    keys = some_keys(connection, projection, FORGOTTEN_AT_ONCE)
    if keys:
        forget(connection, projection, keys)
    return len(keys)


def mark_unknown(connection: Connection, projection: Projection, found: Mapping[ItemKey, Collection[str]]) -> None:
    """Add ids that were found in a projection, with unknown content, to the entries of their items."""
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
    """Return the items of a claim that some projection holds or may hold."""
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
"""The generation that the last writer found, or left if it was confirmed; and the one that it was about to write."""


def expected_generations(connection: Connection, projection: Projection) -> Generations:
    """Return the two generations that the projection may have; None is that of a new store."""
    known, next_generation = get_value(connection, _name(projection)) or (None, None)
    return known, next_generation


def set_generations(
    connection: Connection, projection: Projection, known: str | None, next_generation: str | None
) -> None:
    """Record which generation a writer found and which it will write; needs the writer lock, or a rebuild."""
    put_value(connection, _name(projection), [known, next_generation])


def confirm_generation(connection: Connection, projection: Projection, generation: str) -> None:
    """Record that a generation was written, unless another writer came since, which has seen it itself."""
    name = _name(projection)
    connection.execute(select(checkpoints.c.name).where(checkpoints.c.name == name).with_for_update())
    if expected_generations(connection, projection)[1] == generation:
        set_generations(connection, projection, generation, generation)


def forget_generations(connection: Connection, projection: Projection) -> None:
    """Delete the generations of a projection that was removed."""
    delete_value(connection, _name(projection))


def _name(projection: Projection) -> str:
    return f"mark of the {projection}"
