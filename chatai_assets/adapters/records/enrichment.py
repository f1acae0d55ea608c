"""What models said of an item: tags, entities and relations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, tuple_

from chatai_assets.adapters.records.content import Rows, of_owner, owned_keys
from chatai_assets.adapters.records.dialect import upsert
from chatai_assets.adapters.records.schema import entities, post_enrichment, relations, work
from chatai_assets.adapters.records.work import Key

TAGS = "tags"


def tags_of_owner(connection: Connection, owner: str) -> dict[Key, tuple[str, tuple[str, ...]]]:
    """Return item -> (content hash, tags) of the items of a claim that have tags."""
    table = post_enrichment.c
    statement = (
        select(table.tenant_id, table.post_id, table.content_hash, table.value)
        .join(work, and_(work.c.tenant_id == table.tenant_id, work.c.source_key == table.post_id))
        .where(work.c.owner == owner, table.kind == TAGS)
    )
    rows = connection.execute(statement)
    return {(tenant, key): (content_hash, tuple(value["tags"])) for tenant, key, content_hash, value in rows}


def write_tags(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``tenant_id post_id content_hash value model written_at`` of items whose tags changed."""
    upsert(connection, post_enrichment, [{**row, "kind": TAGS} for row in rows])


def forget_tags(connection: Connection, keys: Collection[Key]) -> None:
    """Let items have no tags."""
    table = post_enrichment.c
    connection.execute(
        delete(post_enrichment).where(tuple_(table.tenant_id, table.post_id).in_(keys), table.kind == TAGS)
    )


def forget_facts(connection: Connection, keys: Collection[Key]) -> None:
    """Let items have no entities and no relations."""
    for table in (entities, relations):
        connection.execute(delete(table).where(tuple_(table.c.tenant_id, table.c.source_key).in_(keys)))


def replace_facts(
    connection: Connection, owner: str, names: Sequence[Mapping[str, Any]], ties: Sequence[Mapping[str, Any]]
) -> None:
    """Let the items of a claim have these entities and relations and no others."""
    for table, rows in ((entities, names), (relations, ties)):
        connection.execute(delete(table).where(tuple_(table.c.tenant_id, table.c.source_key).in_(owned_keys(owner))))
        if rows:
            connection.execute(insert(table), rows)


def facts_of_owner(connection: Connection, owner: str) -> tuple[Rows, Rows]:
    """Return the entities and the relations of the items of a claim, in a fixed order."""
    names = of_owner(entities, *entities.c, owner=owner).order_by(*entities.primary_key.columns)
    ties = of_owner(relations, *relations.c, owner=owner).order_by(*relations.primary_key.columns)
    return connection.execute(names).mappings().all(), connection.execute(ties).mappings().all()


def tags_of_item(connection: Connection, key: Key) -> tuple[str, ...]:
    """Return the tags of one item."""
    table = post_enrichment.c
    statement = select(table.value).where(table.tenant_id == key[0], table.post_id == key[1], table.kind == TAGS)
    value = connection.execute(statement).scalar()
    return tuple(value["tags"]) if value else ()


def entities_of_item(connection: Connection, key: Key) -> Rows:
    """Return the entities of one item: ``ordinal kind form name``."""
    mine = and_(entities.c.tenant_id == key[0], entities.c.source_key == key[1])
    return connection.execute(select(entities).where(mine).order_by(*entities.primary_key.columns)).mappings().all()
