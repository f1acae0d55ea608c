"""Linked pages as they were read last, the posts that link to them, and the chunks that come from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Self, TypedDict

from sqlalchemy import Connection, Text, and_, cast, delete, exists, insert, literal, or_, select, tuple_

from chatai_assets.domain.ids import ItemKey, digest
from chatai_assets.domain.text.chunking import BODY
from chatai_assets.storage.enrichment import EnrichmentRow
from chatai_assets.storage.items import TEXTS_LOCK, ChunkWithText, claimed_by
from chatai_assets.storage.schema import chunks, pages, post_enrichment, posts, work
from chatai_assets.storage.sql import advisory_lock_shared, columns_of, fetch_all, insert_into, upsert

CRAWL = "crawl"
AT_ONCE = 500
"""Pages of one statement."""


class PageKey(NamedTuple):
    """Which stored page of a tenant.

    Attributes:
        tenant_id: the organization.
        url_hash: the first 32 hex digits of the digest of its URL.
    """

    tenant_id: str
    url_hash: str

    @classmethod
    def of_url(cls, tenant_id: str, url: str) -> Self:
        """Return the key of the page at a URL."""
        return cls(tenant_id, digest(url)[:32])


class PageRow(TypedDict):
    """A linked page as it was read last.

    Attributes:
        fault: why it could not be had; None if it was read.
        page_hash: hash of its text: the ``part`` of the chunks that come from it.
        etag: validator of the text; so is ``modified``.
        checked_at: epoch seconds at which the site was asked last.
    """

    tenant_id: str
    url_hash: str
    url: str
    fault: str | None
    page_hash: str | None
    title: str | None
    text: str | None
    etag: str | None
    modified: str | None
    checked_at: float


class PageChunk(TypedDict):
    """A chunk that comes from a page, without its text."""

    tenant_id: str
    source_key: str
    part: str
    ordinal: int
    text_hash: str


class LinkedPage(TypedDict):
    """What is stored of a page for a post that links to it."""

    url: str
    part: str | None
    title: str | None
    fault: str | None


class LinkedPages(TypedDict):
    """The pages that a post links to, in the order of its links."""

    pages: list[LinkedPage]


def enqueue_crawl(connection: Connection, hour: str, *, now: float) -> None:
    """Enqueue the stage ``crawl`` for the parsed posts of an hour that have links, or had some before an edit."""
    linking = and_(posts.c.links.is_not(None), cast(posts.c.links, Text).not_in(("[]", "null")))
    linked = exists().where(
        post_enrichment.c.tenant_id == work.c.tenant_id,
        post_enrichment.c.post_id == work.c.source_key,
        post_enrichment.c.kind == CRAWL,
    )
    looked_at = work.alias("looked_at")
    known = exists().where(
        looked_at.c.tenant_id == work.c.tenant_id,
        looked_at.c.source_key == work.c.source_key,
        looked_at.c.stage == CRAWL,
    )
    parsed = (
        select(work.c.tenant_id, work.c.source_key, literal(CRAWL), work.c.stream, work.c.hour, work.c.seq)
        .add_columns(literal("pending"), literal(0), literal(now))
        .join(posts, and_(posts.c.tenant_id == work.c.tenant_id, posts.c.source_key == work.c.source_key))
        .where(work.c.stream == "posts", work.c.stage == "parse", work.c.state == "done", work.c.hour == hour)
        .where(or_(linking, linked), ~known)
        .order_by(work.c.seq)
        # An edit deletes the work of its post: the lock lets it do so before this or after it, but not in between.
        .with_for_update(read=True, of=work)
    )
    columns = ["tenant_id", "source_key", "stage", "stream", "hour", "seq", "state", "attempts", "changed_at"]
    connection.execute(
        insert_into(connection, work)
        .from_select(columns, parsed)
        .on_conflict_do_nothing(index_elements=["tenant_id", "source_key", "stage"])
    )


def discard_crawl(connection: Connection, hour: str) -> None:
    """Delete the pending work of the stage ``crawl`` in an hour."""
    waiting = and_(work.c.stream == "posts", work.c.stage == CRAWL, work.c.hour == hour, work.c.state == "pending")
    connection.execute(delete(work).where(waiting))


def find_pages(connection: Connection, places: Collection[PageKey]) -> dict[PageKey, PageRow]:
    """Return the pages that are stored, of those asked for."""
    wanted, found = sorted(places), dict[PageKey, PageRow]()
    for start in range(0, len(wanted), AT_ONCE):
        mine = tuple_(pages.c.tenant_id, pages.c.url_hash).in_(wanted[start : start + AT_ONCE])
        rows = fetch_all(connection, select(*columns_of(pages, PageRow)).where(mine), PageRow)
        found.update({PageKey(row["tenant_id"], row["url_hash"]): row for row in rows})
    return found


def store_pages(connection: Connection, rows: Sequence[PageRow]) -> None:
    """Store pages as they were read now, in the order of their keys so that two writers cannot deadlock."""
    upsert(connection, pages, sorted(rows, key=lambda row: (row["tenant_id"], row["url_hash"])))


def page_chunks(connection: Connection, owner: str) -> list[PageChunk]:
    """Return the chunks of a claim that come from pages."""
    statement = claimed_by(chunks, *columns_of(chunks, PageChunk), owner=owner).where(chunks.c.part != BODY)
    return fetch_all(connection, statement, PageChunk)


def replace_page_chunks(connection: Connection, keys: Collection[ItemKey], rows: Sequence[ChunkWithText]) -> None:
    """Replace the chunks of items that come from pages."""
    if keys:
        mine = tuple_(chunks.c.tenant_id, chunks.c.source_key).in_(keys)
        connection.execute(delete(chunks).where(mine, chunks.c.part != BODY))
    if rows:
        advisory_lock_shared(connection, TEXTS_LOCK)
        connection.execute(insert(chunks), rows)


def pages_of_owner(connection: Connection, owner: str) -> dict[ItemKey, LinkedPages]:
    """Return item -> its linked pages, for the items of a claim: the ``value`` that ``write_crawl`` stored."""
    table = post_enrichment.c
    statement = (
        select(table.tenant_id, table.post_id, table.value)
        .join(work, and_(work.c.tenant_id == table.tenant_id, work.c.source_key == table.post_id))
        .where(work.c.owner == owner, table.kind == CRAWL)
    )
    return {ItemKey(tenant_id, key): value for tenant_id, key, value in connection.execute(statement)}


def pages_of_item(connection: Connection, key: ItemKey) -> list[LinkedPage]:
    """Return the linked pages of one item."""
    table = post_enrichment.c
    mine = and_(table.tenant_id == key.tenant_id, table.post_id == key.source_key, table.kind == CRAWL)
    value = connection.execute(select(table.value).where(mine)).scalar()
    return list(value["pages"]) if value else []


def write_crawl(connection: Connection, rows: Sequence[EnrichmentRow]) -> None:
    """Write the linked pages of items; ``value`` is a ``LinkedPages``."""
    upsert(connection, post_enrichment, [{**row, "kind": CRAWL} for row in rows])
