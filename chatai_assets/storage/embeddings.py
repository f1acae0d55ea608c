"""Vectors by tenant, model and hash of the text: no model embeds the same text of a tenant twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from sqlalchemy import Connection, and_, select

from chatai_assets.storage.items import ChunkKey, TextKey, claimed_by
from chatai_assets.storage.schema import chunks, vectors, work
from chatai_assets.storage.sql import columns_of, fetch_all, json_values_table, upsert


class UnembeddedText(TypedDict):
    """A chunk whose text has no vector by some model."""

    tenant_id: str
    source_key: str
    part: str
    text_hash: str
    text: str


class VectorRow(TypedDict):
    """A stored vector: ``dense`` and ``sparse_values`` are float32, ``sparse_indices`` uint32, all little endian."""

    tenant_id: str
    model: str
    text_hash: str
    dense: bytes
    sparse_indices: bytes
    sparse_values: bytes


class ChunkVector(NamedTuple):
    """The vector of a chunk, as ``VectorRow`` holds it."""

    text_hash: str
    dense: bytes
    sparse_indices: bytes
    sparse_values: bytes


def unembedded(connection: Connection, owner: str, model: str) -> list[UnembeddedText]:
    """Return the chunks of a claim for which no vector is stored."""
    known = and_(
        vectors.c.tenant_id == chunks.c.tenant_id,
        vectors.c.model == model,
        vectors.c.text_hash == chunks.c.text_hash,
    )
    columns = columns_of(chunks, UnembeddedText)
    statement = claimed_by(chunks, *columns, owner=owner).outerjoin(vectors, known).where(vectors.c.text_hash.is_(None))
    return fetch_all(connection, statement.order_by(work.c.seq, chunks.c.ordinal), UnembeddedText)


def store_vectors(connection: Connection, rows: Sequence[VectorRow]) -> None:
    """Store vectors; one that is there already stays."""
    # In a fixed order, so that two writers cannot deadlock.
    in_order = sorted(rows, key=lambda row: (row["tenant_id"], row["text_hash"]))
    upsert(connection, vectors, in_order, update=())


def vectors_of_owner(connection: Connection, owner: str, model: str) -> dict[TextKey, VectorRow]:
    """Return (tenant, text hash) -> vector row for the chunks of a claim."""
    statement = (
        claimed_by(chunks, vectors, owner=owner)
        .join(vectors, and_(vectors.c.tenant_id == chunks.c.tenant_id, vectors.c.text_hash == chunks.c.text_hash))
        .where(vectors.c.model == model)
    )
    return {TextKey(row["tenant_id"], row["text_hash"]): row for row in fetch_all(connection, statement, VectorRow)}


def vectors_of_chunks(connection: Connection, places: Sequence[ChunkKey], model: str) -> dict[ChunkKey, ChunkVector]:
    """Return chunk -> its ``text_hash dense sparse_indices sparse_values``, of those that have them.

    Args:
        places: valid for JSON and PostgreSQL: no NUL in a text, no number beyond 32 bits.
    """
    # A join, because SQLite scans the whole table for a list of rows after IN.
    listed = json_values_table(connection, places)
    tenant_id, source_key, part = (listed.c.value[number].as_string() for number in range(3))
    place = (chunks.c.tenant_id, chunks.c.source_key, chunks.c.part, chunks.c.ordinal)
    is_listed = and_(
        *(
            column == value
            for column, value in zip(place, (tenant_id, source_key, part, listed.c.value[3].as_integer()), strict=True)
        )
    )
    same = and_(vectors.c.tenant_id == chunks.c.tenant_id, vectors.c.text_hash == chunks.c.text_hash)
    kept = (vectors.c.text_hash, vectors.c.dense, vectors.c.sparse_indices, vectors.c.sparse_values)
    statement = (
        select(*place, *kept)
        .select_from(listed)
        .join(chunks, is_listed)
        .join(vectors, and_(same, vectors.c.model == model))
    )
    return {ChunkKey(*row[:4]): ChunkVector(*row[4:]) for row in connection.execute(statement)}


def embedded_texts(connection: Connection, owner: str, model: str) -> set[TextKey]:
    """Return the texts of the chunks of a claim that have a vector."""
    statement = (
        claimed_by(chunks, vectors.c.tenant_id, vectors.c.text_hash, owner=owner)
        .join(vectors, and_(vectors.c.tenant_id == chunks.c.tenant_id, vectors.c.text_hash == chunks.c.text_hash))
        .where(vectors.c.model == model)
    )
    return {TextKey(tenant_id, text_hash) for tenant_id, text_hash in connection.execute(statement)}
