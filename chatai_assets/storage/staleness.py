"""Results of another model, prompt or code version than the active one, and how large their redo would be."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, or_, select

from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.stages import Stage
from chatai_assets.domain.text.chunking import BODY
from chatai_assets.storage.items import items_table
from chatai_assets.storage.schema import chunks, vectors, work


def count_stale(connection: Connection, stream: Stream, stage: Stage, current: str) -> int:
    """Return how many items of a stream are done at a stage with another fingerprint than ``current``."""
    return connection.execute(select(func.count()).select_from(work).where(_stale(stream, stage, current))).scalar_one()


def some_stale(connection: Connection, stream: Stream, stage: Stage, current: str, limit: int) -> list[ItemKey]:
    """Return some of the stale items, oldest arrival first."""
    rows = select(work.c.tenant_id, work.c.source_key).where(_stale(stream, stage, current))
    found = connection.execute(rows.order_by(work.c.seq).limit(limit))
    return [ItemKey(tenant_id, key) for tenant_id, key in found]


def chars_of_items(connection: Connection, stream: Stream, stage: Stage, current: str, most: int) -> tuple[int, int]:
    """Return the number of texts of the stale items, and of characters, at most ``most`` of each text."""
    item = items_table(stream)
    same = and_(item.c.tenant_id == work.c.tenant_id, item.c.source_key == work.c.source_key)
    length = func.length(item.c.text)
    read = case((length > most, most), else_=length)
    statement = select(func.count(), func.coalesce(func.sum(read), 0)).select_from(work).join(item, same)
    texts, chars = connection.execute(statement.where(_stale(stream, stage, current), length > 0)).one()
    return int(texts), int(chars)


def chars_of_chunks(connection: Connection, stream: Stream, stage: Stage, current: str) -> tuple[int, int]:
    """Return the number of chunks of the stale items, without linked pages, and of characters."""
    same = and_(chunks.c.tenant_id == work.c.tenant_id, chunks.c.source_key == work.c.source_key)
    figures = (func.count(), func.coalesce(func.sum(func.length(chunks.c.text)), 0))
    statement = select(*figures).select_from(work).join(chunks, same)
    texts, chars = connection.execute(statement.where(_stale(stream, stage, current), chunks.c.part == BODY)).one()
    return int(texts), int(chars)


def chars_to_embed(connection: Connection, stream: Stream, stage: Stage, current: str, model: str) -> int:
    """Return the number of characters in texts of the stale items that a model has not embedded yet."""
    same = and_(chunks.c.tenant_id == work.c.tenant_id, chunks.c.source_key == work.c.source_key)
    known = and_(
        vectors.c.tenant_id == chunks.c.tenant_id,
        vectors.c.model == literal(model),
        vectors.c.text_hash == chunks.c.text_hash,
    )
    lacking = select(chunks.c.tenant_id, chunks.c.text_hash, func.max(func.length(chunks.c.text)).label("chars"))
    lacking = lacking.select_from(work).join(chunks, same).outerjoin(vectors, known)
    each = (
        lacking.where(_stale(stream, stage, current), vectors.c.text_hash.is_(None))
        .group_by(chunks.c.tenant_id, chunks.c.text_hash)
        .subquery()
    )
    return int(connection.execute(select(func.coalesce(func.sum(each.c.chars), 0))).scalar_one())


def _stale(stream: Stream, stage: Stage, current: str) -> ColumnElement[bool]:
    mine = and_(work.c.stream == stream, work.c.stage == stage, work.c.state == "done")
    return and_(mine, or_(work.c.fingerprint != current, work.c.fingerprint.is_(None)))
