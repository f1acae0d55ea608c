"""Chunks drawn at random from all that is indexed, without a walk through the table."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, select

from chatai_assets.domain.text.chunking import BODY
from chatai_assets.storage.schema.tables import chunks, work

TENANTS = 100


def sample_chunks(connection: Connection, places: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return tenant, source key and text of one chunk per place, tenants in turn; fewer where there are not so many.

    Args:
        places: hex digits; the chunk whose text's hash comes next is taken, and hashes are as good as random.
    """
    some = select(work.c.tenant_id).where(_indexed()).distinct().limit(TENANTS)
    tenants = sorted(connection.execute(some).scalars())
    found = [
        _chunk_after(connection, tenants[n % len(tenants)], place) for n, place in enumerate(places if tenants else ())
    ]
    return list(dict.fromkeys(chunk for chunk in found if chunk))


def _chunk_after(connection: Connection, tenant_id: str, place: str) -> tuple[str, str, str] | None:
    same = and_(work.c.tenant_id == chunks.c.tenant_id, work.c.source_key == chunks.c.source_key)
    mine = and_(chunks.c.tenant_id == tenant_id, chunks.c.text_hash >= place, chunks.c.part == BODY, _indexed())
    statement = select(chunks.c.source_key, chunks.c.text).join(work, same).where(mine)
    row = connection.execute(statement.order_by(chunks.c.text_hash, chunks.c.source_key).limit(1)).first()
    return (tenant_id, row[0], row[1]) if row else None


def _indexed() -> ColumnElement[bool]:
    return and_(work.c.stage == "index", work.c.state == "done")
