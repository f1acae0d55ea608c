"""Results of models for an item: tags, entities, relations, and how the text of scans was recognised."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, tuple_, update

from chatai_assets.domain.ids import ItemKey, canonical_json, digest
from chatai_assets.domain.ocr import OcrResult
from chatai_assets.domain.tagging import tags_hash
from chatai_assets.storage.items import claimed_by, claimed_keys
from chatai_assets.storage.schema import entities, post_enrichment, relations, work
from chatai_assets.storage.sql import columns_of, fetch_all, upsert

TAGS = "tags"
OCR = "ocr"


class StoredTags(NamedTuple):
    """The tags of an item, and their hash."""

    content_hash: str
    tags: tuple[str, ...]


class EnrichmentRow(TypedDict):
    """What a model or a crawl found out about an item, to be stored; ``post_id`` is its source key."""

    tenant_id: str
    post_id: str
    content_hash: str
    value: Mapping[str, Any]
    model: str
    written_at: float


class EntityRow(TypedDict):
    """A mention of an entity; ``ordinal`` is that of its chunk."""

    tenant_id: str
    source_key: str
    ordinal: int
    kind: str
    form: str
    name: str


class RelationRow(TypedDict):
    """A relation between two entities; ``ordinal`` is that of its chunk."""

    tenant_id: str
    source_key: str
    ordinal: int
    subject: str
    predicate: str
    object: str
    weak: bool


def tags_of_owner(connection: Connection, owner: str) -> dict[ItemKey, StoredTags]:
    """Return the tags of the items of a claim that have tags."""
    table = post_enrichment.c
    statement = (
        select(table.tenant_id, table.post_id, table.content_hash, table.value)
        .join(work, and_(work.c.tenant_id == table.tenant_id, work.c.source_key == table.post_id))
        .where(work.c.owner == owner, table.kind == TAGS)
    )
    rows = connection.execute(statement)
    return {
        ItemKey(tenant, key): StoredTags(content_hash, tuple(value["tags"]))
        for tenant, key, content_hash, value in rows
    }


def write_tags(connection: Connection, rows: Sequence[EnrichmentRow]) -> None:
    """Write the tags of items."""
    upsert(connection, post_enrichment, [{**row, "kind": TAGS} for row in rows])


def change_tags(connection: Connection, tags: Mapping[ItemKey, Sequence[str]]) -> None:
    """Replace the tags of items that have some; items with an empty list lose their row. The model stays the same."""
    if not tags:
        return
    forget_tags(connection, [key for key, words in tags.items() if not words])
    changed = [
        {
            "of_tenant": key.tenant_id,
            "of_post": key.source_key,
            "new_hash": tags_hash(words),
            "new_value": {"tags": list(words)},
        }
        for key, words in tags.items()
        if words
    ]
    if changed:
        table = post_enrichment.c
        mine = (table.tenant_id == bindparam("of_tenant"), table.post_id == bindparam("of_post"), table.kind == TAGS)
        news = update(post_enrichment).values(content_hash=bindparam("new_hash"), value=bindparam("new_value"))
        connection.execute(news.where(*mine), changed)


def forget_tags(connection: Connection, keys: Collection[ItemKey]) -> None:
    """Delete the tags of items."""
    _forget(connection, keys, TAGS)


def write_recognition(connection: Connection, recognised: Mapping[ItemKey, OcrResult], *, now: float) -> None:
    """Store how the text of items was recognised, where it differs from what is stored."""
    table = post_enrichment.c
    mine = (tuple_(table.tenant_id, table.post_id).in_(recognised), table.kind == OCR)
    stored = connection.execute(select(table.tenant_id, table.post_id, table.content_hash).where(*mine))
    written = {ItemKey(tenant_id, key): content_hash for tenant_id, key, content_hash in stored}
    hashes = {key: digest(canonical_json(recognition.summary)) for key, recognition in recognised.items()}
    rows = [
        {
            "tenant_id": key.tenant_id,
            "post_id": key.source_key,
            "kind": OCR,
            "content_hash": hashes[key],
            "value": recognition.summary,
            "model": recognition.engine,
            "written_at": now,
        }
        for key, recognition in recognised.items()
        if written.get(key) != hashes[key]
    ]
    upsert(connection, post_enrichment, rows)


def forget_recognition(connection: Connection, keys: Collection[ItemKey]) -> None:
    """Delete how the text of items was recognised."""
    _forget(connection, keys, OCR)


def recognition_of_item(connection: Connection, key: ItemKey) -> dict[str, Any] | None:
    """Return how the text of one item was recognised (``domain.ocr.OcrResult.summary``); None if it was not."""
    table = post_enrichment.c
    mine = (table.tenant_id == key.tenant_id, table.post_id == key.source_key, table.kind == OCR)
    value: dict[str, Any] | None = connection.execute(select(table.value).where(*mine)).scalar()
    return value


def _forget(connection: Connection, keys: Collection[ItemKey], kind: str) -> None:
    table = post_enrichment.c
    mine = (tuple_(table.tenant_id, table.post_id).in_(keys), table.kind == kind)
    connection.execute(delete(post_enrichment).where(*mine))


def forget_facts(connection: Connection, keys: Collection[ItemKey]) -> None:
    """Delete the entities and relations of items."""
    for table in (entities, relations):
        connection.execute(delete(table).where(tuple_(table.c.tenant_id, table.c.source_key).in_(keys)))


def replace_facts(connection: Connection, owner: str, names: Sequence[EntityRow], ties: Sequence[RelationRow]) -> None:
    """Replace all entities and relations of the items of a claim."""
    for table, rows in ((entities, names), (relations, ties)):
        connection.execute(delete(table).where(tuple_(table.c.tenant_id, table.c.source_key).in_(claimed_keys(owner))))
        if rows:
            connection.execute(insert(table), rows)


def facts_of_owner(connection: Connection, owner: str) -> tuple[list[EntityRow], list[RelationRow]]:
    """Return the entities and the relations of the items of a claim, in a fixed order."""
    names = claimed_by(entities, *columns_of(entities, EntityRow), owner=owner)
    ties = claimed_by(relations, *columns_of(relations, RelationRow), owner=owner)
    return (
        fetch_all(connection, names.order_by(*entities.primary_key.columns), EntityRow),
        fetch_all(connection, ties.order_by(*relations.primary_key.columns), RelationRow),
    )


def tags_of_item(connection: Connection, key: ItemKey) -> tuple[str, ...]:
    """Return the tags of one item."""
    table = post_enrichment.c
    statement = select(table.value).where(
        table.tenant_id == key.tenant_id, table.post_id == key.source_key, table.kind == TAGS
    )
    value = connection.execute(statement).scalar()
    return tuple(value["tags"]) if value else ()


def entities_of_item(connection: Connection, key: ItemKey) -> list[EntityRow]:
    """Return the entities of one item."""
    mine = and_(entities.c.tenant_id == key.tenant_id, entities.c.source_key == key.source_key)
    return fetch_all(connection, select(entities).where(mine).order_by(*entities.primary_key.columns), EntityRow)
