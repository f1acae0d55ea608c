"""Erasing items from the record store: all that was said, read, computed or bought of them, in one transaction.

What other items share stays: a vector of the same text, a page that others link to, an answer that others use, bytes
that were uploaded twice. What remains of an item is its tombstone, without any text.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, delete, exists, select, tuple_

from chatai_assets.adapters.records import tombstones
from chatai_assets.adapters.records.content import TEXTS
from chatai_assets.adapters.records.dialect import beside_others, exclude_others, portions
from chatai_assets.adapters.records.pages import CRAWL, Place, page_place
from chatai_assets.adapters.records.provider_results import forget_results
from chatai_assets.adapters.records.schema import (
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
from chatai_assets.adapters.records.tombstones import Leaving
from chatai_assets.adapters.records.work import Key
from chatai_assets.domain.chunking import BODY

BLOBS = "blobs"
"""Whoever removes bytes excludes others from it: an arrival that comes meanwhile might count on them."""
OF_ITEMS = (chunks, entities, relations, index_ledger)

Text = tuple[str, str]
"""Tenant and hash of a text."""


@dataclass(slots=True)
class Erased:
    """What was erased.

    Attributes:
        keys: the items.
        counts: table -> rows.
        blobs: sha256 of bytes that nobody has any more.
    """

    keys: list[Key] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    blobs: list[str] = field(default_factory=list)


def erase(connection: Connection, items: Leaving, *, now: float) -> Erased:
    """Erase those of the items that are still leaving; the stores must have let go of them.

    The caller removes ``Erased.blobs`` before the transaction ends: nothing that brings these bytes arrives meanwhile.
    """
    tombstones.close_doors(connection, items)
    erased = Erased(tombstones.still_leaving(connection, items))
    texts: set[Text] = set()
    places: dict[Place, str | None] = {}
    hashes: set[str] = set()
    for keys in portions(erased.keys):
        texts |= _texts(connection, keys)
        places |= _pages(connection, keys)
        hashes |= _blobs(connection, keys)
        erased.counts += _erase_rows(connection, keys)
        erased.counts["provider_results"] += forget_results(connection, keys)
        tombstones.set_erased(connection, keys, now)
    parts = {(place[0], part) for place, part in places.items() if part}
    erased.counts["pages"] += _erase_pages(connection, places, _used_parts(connection, parts, texts))
    erased.blobs = _unused_blobs(connection, hashes)
    erased.counts["blobs"] += len(erased.blobs)
    erased.counts["vectors"] += erase_vectors(connection, texts)
    return erased


def keep_blobs(connection: Connection) -> None:
    """Let no bytes be removed until the transaction ends."""
    beside_others(connection, BLOBS)


def erase_vectors(connection: Connection, texts: Collection[Text]) -> int:
    """Delete the vectors of those texts that no chunk has; return how many those were."""
    if not texts:
        return 0
    exclude_others(connection, TEXTS)
    used = exists().where(chunks.c.tenant_id == vectors.c.tenant_id, chunks.c.text_hash == vectors.c.text_hash)
    gone = 0
    for tenant_id, some in _by_tenant(texts):
        mine = (vectors.c.tenant_id == tenant_id, vectors.c.text_hash.in_(some), ~used)
        gone += connection.execute(delete(vectors).where(*mine)).rowcount
    return gone


def _erase_rows(connection: Connection, keys: Sequence[Key]) -> Counter[str]:
    """Delete what belongs to items alone; return table -> rows."""
    places = [(table, table.c.tenant_id, table.c.source_key) for table in (*OF_ITEMS, inbox, posts, documents)]
    places.append((post_enrichment, post_enrichment.c.tenant_id, post_enrichment.c.post_id))
    return Counter(
        {
            table.name: connection.execute(delete(table).where(tuple_(tenant, source).in_(keys))).rowcount
            for table, tenant, source in places
        }
    )


def _texts(connection: Connection, keys: Sequence[Key]) -> set[Text]:
    mine = tuple_(chunks.c.tenant_id, chunks.c.source_key).in_(keys)
    rows = connection.execute(select(chunks.c.tenant_id, chunks.c.text_hash).where(mine).distinct())
    return {(tenant_id, text_hash) for tenant_id, text_hash in rows}


def _pages(connection: Connection, keys: Sequence[Key]) -> dict[Place, str | None]:
    """Return which pages items link to -> the part that their chunks are, if they have text."""
    table = post_enrichment.c
    mine = and_(tuple_(table.tenant_id, table.post_id).in_(keys), table.kind == CRAWL)
    rows = connection.execute(select(table.tenant_id, table.value).where(mine))
    return {page_place(tenant_id, page["url"]): page["part"] for tenant_id, value in rows for page in value["pages"]}


def _used_parts(connection: Connection, parts: Collection[Text], texts: Collection[Text]) -> set[Text]:
    """Return which parts other items still have; they have texts in common, and texts are found by index."""
    used: set[Text] = set()
    for tenant_id, some in _by_tenant(texts) if parts else ():
        mine = (chunks.c.tenant_id == tenant_id, chunks.c.text_hash.in_(some), chunks.c.part != BODY)
        used.update((tenant_id, part) for part in connection.execute(select(chunks.c.part).where(*mine)).scalars())
    return used


def _erase_pages(connection: Connection, places: dict[Place, str | None], used: Collection[Text]) -> int:
    lonely = [place for place, part in places.items() if part is None or (place[0], part) not in used]
    found = (tuple_(pages.c.tenant_id, pages.c.url_hash).in_(some) for some in portions(lonely))
    return sum(connection.execute(delete(pages).where(these)).rowcount for these in found)


def _blobs(connection: Connection, keys: Sequence[Key]) -> set[str]:
    mine = and_(tuple_(inbox.c.tenant_id, inbox.c.source_key).in_(keys), inbox.c.kind == "document")
    return set(connection.execute(select(inbox.c.content_hash).where(mine).distinct()).scalars())


def _unused_blobs(connection: Connection, hashes: Collection[str]) -> list[str]:
    """Return which bytes no arrival brought, of those that some arrival did which is erased."""
    if not hashes:
        return []
    exclude_others(connection, BLOBS)
    mine = (inbox.c.kind == "document", inbox.c.content_hash.in_(hashes))
    return sorted({*hashes} - set(connection.execute(select(inbox.c.content_hash).where(*mine)).scalars()))


def _by_tenant(texts: Collection[Text]) -> Iterator[tuple[str, list[str]]]:
    by_tenant: defaultdict[str, list[str]] = defaultdict(list)
    for tenant_id, text_hash in sorted(texts):
        by_tenant[tenant_id].append(text_hash)
    return ((tenant_id, some) for tenant_id, hashes in by_tenant.items() for some in portions(hashes))
