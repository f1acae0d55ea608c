"""Linked pages: as they were read last, which posts want them, and which chunks of posts come from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, RowMapping, Text, and_, cast, delete, exists, insert, literal, or_, select, tuple_

from chatai_assets.domain.ids import ItemKey, digest
from chatai_assets.domain.text.chunking import BODY
from chatai_assets.storage.items import TEXTS, Rows, claimed_by
from chatai_assets.storage.schema.tables import chunks, pages, post_enrichment, posts, work
from chatai_assets.storage.sql import advisory_lock_shared, insert_into, upsert

CRAWL = "crawl"
AT_ONCE = 500
"""Pages asked for in one statement."""


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


def open_crawl(connection: Connection, hour: str, *, now: float) -> None:
    """Make reading pages pending for the parsed posts of an hour that link to some, or did before they were edited."""
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
        # An edit that comes now takes away what is pending of its post: before this, or after it, but not in between.
        .with_for_update(read=True, of=work)
    )
    columns = ["tenant_id", "source_key", "stage", "stream", "hour", "seq", "state", "attempts", "changed_at"]
    connection.execute(
        insert_into(connection, work)
        .from_select(columns, parsed)
        .on_conflict_do_nothing(index_elements=["tenant_id", "source_key", "stage"])
    )


def close_crawl(connection: Connection, hour: str) -> None:
    """Let no post of an hour wait for pages."""
    waiting = and_(work.c.stream == "posts", work.c.stage == CRAWL, work.c.hour == hour, work.c.state == "pending")
    connection.execute(delete(work).where(waiting))


def known_pages(connection: Connection, places: Collection[PageKey]) -> dict[PageKey, RowMapping]:
    """Return what is kept of pages."""
    wanted, found = sorted(places), {}
    for start in range(0, len(wanted), AT_ONCE):
        mine = tuple_(pages.c.tenant_id, pages.c.url_hash).in_(wanted[start : start + AT_ONCE])
        rows = connection.execute(select(pages).where(mine)).mappings()
        found.update({PageKey(row["tenant_id"], row["url_hash"]): row for row in rows})
    return found


def keep_pages(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep pages as they were read now; whoever else keeps them waits, not more."""
    upsert(connection, pages, sorted(rows, key=lambda row: (row["tenant_id"], row["url_hash"])))


def page_chunks(connection: Connection, owner: str) -> Rows:
    """Return ``tenant_id source_key part ordinal text_hash`` of the chunks that come from pages, of a claim."""
    columns = (chunks.c.tenant_id, chunks.c.source_key, chunks.c.part, chunks.c.ordinal, chunks.c.text_hash)
    return connection.execute(claimed_by(chunks, *columns, owner=owner).where(chunks.c.part != BODY)).mappings().all()


def replace_page_chunks(connection: Connection, keys: Collection[ItemKey], rows: Sequence[Mapping[str, Any]]) -> None:
    """Let items have these chunks of pages and no others."""
    if keys:
        mine = tuple_(chunks.c.tenant_id, chunks.c.source_key).in_(keys)
        connection.execute(delete(chunks).where(mine, chunks.c.part != BODY))
    if rows:
        advisory_lock_shared(connection, TEXTS)
        connection.execute(insert(chunks), rows)


def pages_of_owner(connection: Connection, owner: str) -> dict[ItemKey, dict[str, Any]]:
    """Return item -> what its pages came to, of the items of a claim: the ``value`` that ``write_crawl`` was given."""
    table = post_enrichment.c
    statement = (
        select(table.tenant_id, table.post_id, table.value)
        .join(work, and_(work.c.tenant_id == table.tenant_id, work.c.source_key == table.post_id))
        .where(work.c.owner == owner, table.kind == CRAWL)
    )
    return {ItemKey(tenant_id, key): value for tenant_id, key, value in connection.execute(statement)}


def pages_of_item(connection: Connection, key: ItemKey) -> list[dict[str, Any]]:
    """Return what the pages of one item came to: ``url part title fault`` each."""
    table = post_enrichment.c
    mine = and_(table.tenant_id == key.tenant_id, table.post_id == key.source_key, table.kind == CRAWL)
    value = connection.execute(select(table.value).where(mine)).scalar()
    return list(value["pages"]) if value else []


def write_crawl(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``tenant_id post_id content_hash value model written_at`` of items whose pages changed."""
    upsert(connection, post_enrichment, [{**row, "kind": CRAWL} for row in rows])
