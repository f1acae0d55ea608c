"""Erasure of items from the record store: rows, vectors, pages, provider responses and bytes, in one transaction.

What other items share stays: a vector of the same text, a page that others link to, a response that others use, bytes
that were uploaded twice. Only the tombstone of an item remains, without any text.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, Table, and_, delete, exists, literal_column, select, tuple_

from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.text.chunking import BODY
from chatai_assets.storage import tombstones
from chatai_assets.storage.items import TEXTS_LOCK, TextKey
from chatai_assets.storage.llm_responses import drop_unused, erase_results
from chatai_assets.storage.schema import (
    chunks,
    documents,
    entities,
    inbox,
    index_ledger,
    pages,
    post_enrichment,
    posts,
    relations,
    vectors,
)
from chatai_assets.storage.sql import advisory_lock, advisory_lock_shared, batched
from chatai_assets.storage.tombstones import PendingErasures
from chatai_assets.storage.web_pages import CRAWL, PageKey

BLOBS_LOCK = "blobs"
"""Advisory lock: exclusive for deleting bytes, shared for arrivals, which may need bytes that are stored already."""
ITEM_TABLES = (chunks, entities, relations, inbox, posts, documents, post_enrichment)


class PartKey(NamedTuple):
    """Which linked page of a tenant, as ``part`` of the chunks that come from it."""

    tenant_id: str
    part: str


@dataclass(slots=True)
class Erased:
    """What was erased.

    Attributes:
        keys: the items.
        counts: table -> rows.
        blobs: sha256 of bytes that no arrival refers to.
    """

    keys: list[ItemKey] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    blobs: list[str] = field(default_factory=list)


def erase(connection: Connection, items: PendingErasures, *, now: float, let_go: bool = True) -> Erased:
    """Erase those of the items that are still marked for erasure.

    The caller deletes ``Erased.blobs`` before the transaction ends: until then no arrival can refer to these bytes.

    Args:
        let_go: whether the items are already removed from vector index and graph. If not, their ledger entries stay and
            they remain marked.
    """
    tombstones.lock_inboxes(connection, items)
    erased = Erased(tombstones.still_pending(connection, items))
    texts: set[TextKey] = set()
    places: dict[PageKey, str | None] = {}
    hashes: set[str] = set()
    for keys in batched(erased.keys):
        texts |= _texts(connection, keys)
        places |= _pages(connection, keys)
        hashes |= _blobs(connection, keys)
        erased.counts += _erase_rows(connection, keys)
        erased.counts["provider_results"] += erase_results(connection, keys)
        if let_go:
            erased.counts += _erase_rows(connection, keys, (index_ledger,))
            tombstones.set_erased(connection, keys, now)
    parts = {PartKey(place.tenant_id, part) for place, part in places.items() if part}
    erased.counts["pages"] += _erase_pages(connection, places, _used_parts(connection, parts, texts))
    erased.blobs = _unused_blobs(connection, hashes)
    erased.counts["blobs"] += len(erased.blobs)
    erased.counts["vectors"] += erase_vectors(connection, texts)
    return erased


def forget_posts(connection: Connection, tenant_id: str, source_keys: Sequence[str], *, now: float) -> int:
    """Erase posts that were deleted in their channel; return how many of them existed.

    They are removed from vector index and graph later. Posts that never arrived get a tombstone as well, because the
    deletion may arrive before the post.
    """
    keys = [ItemKey(tenant_id, key) for key in dict.fromkeys(source_keys)]
    tombstones.lock_inbox(connection, tenant_id, "post")
    there = tombstones.mark_for_erasure(connection, "posts", keys, "forgotten", now=now, until=None)
    going = tombstones.pending_erasure_of(connection, keys)
    erase(connection, going, now=now, let_go=False)
    tombstones.write_tombstones(
        connection, tenant_id, [key for _, key in keys if (tenant_id, key) not in going], now=now
    )
    return there


def lock_blobs_shared(connection: Connection) -> None:
    """Block the deletion of bytes until the transaction ends."""
    advisory_lock_shared(connection, BLOBS_LOCK)


def erase_vectors(connection: Connection, texts: Collection[TextKey]) -> int:
    """Delete the vectors of those texts that no chunk has; return how many."""
    if not texts:
        return 0
    advisory_lock(connection, TEXTS_LOCK)
    used = exists().where(chunks.c.tenant_id == vectors.c.tenant_id, chunks.c.text_hash == vectors.c.text_hash)
    gone = 0
    for tenant_id, some in _by_tenant(texts):
        mine = (vectors.c.tenant_id == tenant_id, vectors.c.text_hash.in_(some), ~used)
        gone += connection.execute(delete(vectors).where(*mine)).rowcount
    return gone


def _erase_rows(connection: Connection, keys: Sequence[ItemKey], tables: Sequence[Table] = ITEM_TABLES) -> Counter[str]:
    """Delete the rows that belong to these items only; return table -> rows."""
    counts: Counter[str] = Counter()
    for table in tables:
        source = table.c.post_id if table is post_enrichment else table.c.source_key
        mine = tuple_(table.c.tenant_id, source).in_(keys)
        counts[table.name] = connection.execute(delete(table).where(mine)).rowcount
    return counts


def _texts(connection: Connection, keys: Sequence[ItemKey]) -> set[TextKey]:
    mine = tuple_(chunks.c.tenant_id, chunks.c.source_key).in_(keys)
    rows = connection.execute(select(chunks.c.tenant_id, chunks.c.text_hash).where(mine).distinct())
    return {TextKey(tenant_id, text_hash) for tenant_id, text_hash in rows}


def _pages(connection: Connection, keys: Sequence[ItemKey]) -> dict[PageKey, str | None]:
    """Return the pages that items link to -> the part that their chunks form, None for a page without text."""
    table = post_enrichment.c
    mine = and_(tuple_(table.tenant_id, table.post_id).in_(keys), table.kind == CRAWL)
    rows = connection.execute(select(table.tenant_id, table.value).where(mine))
    return {
        PageKey.of_url(tenant_id, page["url"]): page["part"] for tenant_id, value in rows for page in value["pages"]
    }


def _used_parts(connection: Connection, parts: Collection[PartKey], texts: Collection[TextKey]) -> set[PartKey]:
    """Return the parts that other items still have. They share texts, so the search uses the index on text hashes."""
    used: set[PartKey] = set()
    for tenant_id, some in _by_tenant(texts) if parts else ():
        mine = (chunks.c.tenant_id == tenant_id, chunks.c.text_hash.in_(some), chunks.c.part != BODY)
        used.update(
            PartKey(tenant_id, part) for part in connection.execute(select(chunks.c.part).where(*mine)).scalars()
        )
    return used


def _erase_pages(connection: Connection, places: dict[PageKey, str | None], used: Collection[PartKey]) -> int:
    lonely = [place for place, part in places.items() if part is None or (place.tenant_id, part) not in used]
    found = (tuple_(pages.c.tenant_id, pages.c.url_hash).in_(some) for some in batched(lonely))
    return sum(connection.execute(delete(pages).where(these)).rowcount for these in found)


def _blobs(connection: Connection, keys: Sequence[ItemKey]) -> set[str]:
    mine = and_(tuple_(inbox.c.tenant_id, inbox.c.source_key).in_(keys), inbox.c.kind == "document")
    return set(connection.execute(select(inbox.c.content_hash).where(mine).distinct()).scalars())


def _unused_blobs(connection: Connection, hashes: Collection[str]) -> list[str]:
    """Return which of these bytes no remaining arrival refers to."""
    if not hashes:
        return []
    advisory_lock(connection, BLOBS_LOCK)
    mine = (inbox.c.kind == "document", inbox.c.content_hash.in_(hashes))
    return sorted({*hashes} - set(connection.execute(select(inbox.c.content_hash).where(*mine)).scalars()))


def lock_if_unused(connection: Connection, sha256: str) -> bool:
    """Return whether no arrival refers to some bytes; until the transaction ends none can begin to."""
    advisory_lock(connection, BLOBS_LOCK)
    return not has_bytes(connection, sha256)


def has_bytes(connection: Connection, sha256: str) -> bool:
    """Return whether any arrival that is not erased refers to these bytes."""
    is_document = inbox.c.kind == literal_column("'document'")  # a literal, so that the partial index is used
    mine = select(inbox.c.seq).where(is_document, inbox.c.content_hash == sha256).limit(1)
    return connection.execute(mine).first() is not None


def erase_orphans(connection: Connection, tenant_id: str, *, now: float) -> Counter[str]:
    """Delete the vectors, pages and provider responses of a tenant that no item uses; return table -> rows.

    They come from stages that worked on items while these were erased, and from interrupted work.
    """
    advisory_lock(connection, TEXTS_LOCK)
    mine = (chunks.c.tenant_id == tenant_id, chunks.c.part != BODY)
    parts = set(connection.execute(select(chunks.c.part).where(*mine).distinct()).scalars())
    kept = connection.execute(select(pages.c.url_hash, pages.c.page_hash).where(pages.c.tenant_id == tenant_id))
    lonely: dict[PageKey, str | None] = {PageKey(tenant_id, place): None for place, part in kept if part not in parts}
    used = exists().where(chunks.c.tenant_id == vectors.c.tenant_id, chunks.c.text_hash == vectors.c.text_hash)
    gone = connection.execute(delete(vectors).where(vectors.c.tenant_id == tenant_id, ~used)).rowcount
    return Counter(
        pages=_erase_pages(connection, lonely, ()),
        vectors=gone,
        provider_results=drop_unused(connection, tenant_id, now),
    )


def _by_tenant(texts: Collection[TextKey]) -> Iterator[tuple[str, list[str]]]:
    by_tenant: defaultdict[str, list[str]] = defaultdict(list)
    for tenant_id, text_hash in sorted(texts):
        by_tenant[tenant_id].append(text_hash)
    return ((tenant_id, some) for tenant_id, hashes in by_tenant.items() for some in batched(hashes))
