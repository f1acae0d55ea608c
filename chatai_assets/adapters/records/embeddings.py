"""Vectors by what they were computed from: the same text is never embedded twice by one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, column, select, values

from chatai_assets.adapters.records.content import Place, Rows, of_owner
from chatai_assets.adapters.records.dialect import upsert
from chatai_assets.adapters.records.schema import chunks, vectors, work


def unembedded(connection: Connection, owner: str, model: str) -> Rows:
    """Return ``tenant_id source_key part text_hash text`` of the chunks of a claim for which no vector is kept."""
    known = and_(
        vectors.c.tenant_id == chunks.c.tenant_id,
        vectors.c.model == model,
        vectors.c.text_hash == chunks.c.text_hash,
    )
    columns = (chunks.c.tenant_id, chunks.c.source_key, chunks.c.part, chunks.c.text_hash, chunks.c.text)
    statement = of_owner(chunks, *columns, owner=owner).outerjoin(vectors, known).where(vectors.c.text_hash.is_(None))
    return connection.execute(statement.order_by(work.c.seq, chunks.c.ordinal)).mappings().all()


def keep_vectors(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep ``tenant_id model text_hash dense sparse_indices sparse_values``; a vector that is there stays."""
    in_order = sorted(
        rows, key=lambda row: (row["tenant_id"], row["text_hash"])
    )  # whoever else keeps them waits, not more
    upsert(connection, vectors, in_order, update=())


def vectors_of_owner(connection: Connection, owner: str, model: str) -> dict[tuple[str, str], Any]:
    """Return (tenant, text hash) -> vector row for the chunks of a claim."""
    statement = (
        of_owner(chunks, vectors, owner=owner)
        .join(vectors, and_(vectors.c.tenant_id == chunks.c.tenant_id, vectors.c.text_hash == chunks.c.text_hash))
        .where(vectors.c.model == model)
    )
    return {(row["tenant_id"], row["text_hash"]): row for row in connection.execute(statement).mappings()}


def vectors_of_chunks(connection: Connection, places: Sequence[Place], model: str) -> dict[Place, Any]:
    """Return chunk -> its vector row, of those that have one, by ``(tenant_id, source_key, part, ordinal)``."""
    if not places:
        return {}
    place = (chunks.c.tenant_id, chunks.c.source_key, chunks.c.part, chunks.c.ordinal)
    # Joined, since SQLite reads a whole table for a list of rows after IN.
    listed = values(*(column(each.name, each.type) for each in place), name="listed").data([*places]).cte("listed")
    is_listed = and_(*(listed.c[each.name] == each for each in place))
    same = and_(vectors.c.tenant_id == chunks.c.tenant_id, vectors.c.text_hash == chunks.c.text_hash)
    statement = (
        select(*place[1:], vectors)
        .select_from(listed)
        .join(chunks, is_listed)
        .join(vectors, and_(same, vectors.c.model == model))
    )
    rows = connection.execute(statement).mappings()
    return {(row["tenant_id"], row["source_key"], row["part"], row["ordinal"]): row for row in rows}


def embedded_texts(connection: Connection, owner: str, model: str) -> set[tuple[str, str]]:
    """Return (tenant, text hash) of the chunks of a claim for which a vector is kept."""
    statement = (
        of_owner(chunks, vectors.c.tenant_id, vectors.c.text_hash, owner=owner)
        .join(vectors, and_(vectors.c.tenant_id == chunks.c.tenant_id, vectors.c.text_hash == chunks.c.text_hash))
        .where(vectors.c.model == model)
    )
    return {(tenant_id, text_hash) for tenant_id, text_hash in connection.execute(statement)}
