"""What each projection holds of an item: intended before it is written, confirmed after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sqlalchemy import Connection, and_, select

from chatai_assets.adapters.records.content import of_owner
from chatai_assets.adapters.records.dialect import upsert
from chatai_assets.adapters.records.schema import index_ledger
from chatai_assets.adapters.records.work import Key
from chatai_assets.domain.index_plan import Recorded

Projection = Literal["vectors", "graph"]
NOTHING = Recorded(intended={}, confirmed={})


def recorded(connection: Connection, owner: str, projection: Projection) -> dict[Key, Recorded]:
    """Return what the ledger says of the items of a claim; unknown ones are left out."""
    entry = index_ledger.c
    statement = of_owner(index_ledger, entry.tenant_id, entry.source_key, entry.intended, entry.confirmed, owner=owner)
    rows = connection.execute(statement.where(entry.projection == projection))
    return {(tenant, key): Recorded(intended, confirmed) for tenant, key, intended, confirmed in rows}


def intend(
    connection: Connection,
    projection: Projection,
    intentions: Mapping[Key, Mapping[str, str]],
    before: Mapping[Key, Recorded],
) -> None:
    """Record what is about to be written; what is confirmed stays as it was."""
    _write(connection, projection, {key: Recorded(wanted, before[key].confirmed) for key, wanted in intentions.items()})


def confirm(connection: Connection, projection: Projection, holdings: Mapping[Key, Mapping[str, str]]) -> None:
    """Record what a projection surely holds now, and that nothing else is under way."""
    _write(connection, projection, {key: Recorded({}, held) for key, held in holdings.items()})


def _write(connection: Connection, projection: Projection, entries: Mapping[Key, Recorded]) -> None:
    rows = [
        {
            "tenant_id": key[0],
            "source_key": key[1],
            "projection": projection,
            "intended": dict(entry.intended),
            "confirmed": dict(entry.confirmed),
        }
        for key, entry in entries.items()
    ]
    upsert(connection, index_ledger, rows)


def projected(connection: Connection, owner: str) -> set[Key]:
    """Return the items of a claim of which some projection holds or may hold something."""
    entry = index_ledger.c
    rows = connection.execute(of_owner(index_ledger, entry.tenant_id, entry.source_key, owner=owner).distinct())
    return {(tenant, key) for tenant, key in rows}


def holdings_of_item(connection: Connection, key: Key) -> dict[str, Recorded]:
    """Return projection -> what it holds of one item."""
    entry = index_ledger.c
    mine = and_(entry.tenant_id == key[0], entry.source_key == key[1])
    rows = connection.execute(select(entry.projection, entry.intended, entry.confirmed).where(mine))
    return {projection: Recorded(intended, confirmed) for projection, intended, confirmed in rows}
