"""Posts, documents and their chunks: what stages read of a claim and write at its commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)

from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.telegram.post import RecordFormat
from chatai_assets.domain.text.chunking import BODY, PreviousChunks
from chatai_assets.storage.schema import chunks, documents, inbox, posts, work
from chatai_assets.storage.sql import advisory_lock_shared, columns_of, fetch_all

NOT_PARSED = {"error", "error_code"}
"""Nullable columns that are not filled by parsing."""
TEXTS_LOCK = "texts of chunks"
"""Advisory lock: exclusive for deleting vectors, shared for adding chunks, since a new chunk may need one of them."""


class ChunkKey(NamedTuple):
    """Which chunk of an item.

    Attributes:
        part: ``"body"``, or the hash of a linked page.
        ordinal: 0-based position within the part.
    """

    tenant_id: str
    source_key: str
    part: str
    ordinal: int


class TextKey(NamedTuple):
    """Which text of a tenant: what a vector belongs to."""

    tenant_id: str
    text_hash: str


class ClaimedWork(TypedDict):
    """A row of work of a claim; ``losses`` counts the processes that were lost with it."""

    tenant_id: str
    source_key: str
    seq: int
    hour: str
    attempts: int
    losses: int
    fingerprint: str | None


class ClaimedArrival(TypedDict):
    """The raw record behind an item of a claim; of a document the payload says where its bytes are."""

    tenant_id: str
    source_key: str
    seq: int
    payload: dict[str, Any]
    record_format: RecordFormat
    content_hash: str
    received_at: float


class ClaimedItem(TypedDict):
    """An item of a claim; stages add the columns that they read, see ``claimed_items``."""

    tenant_id: str
    source_key: str
    has_text: bool


class ChunkRow(TypedDict):
    """A chunk without its text; positions count characters of the parsed text."""

    tenant_id: str
    source_key: str
    part: str
    ordinal: int
    start: int
    end: int
    page: int | None
    text_hash: str


class ChunkWithText(ChunkRow):
    """A chunk."""

    text: str


class ItemLabel(NamedTuple):
    """The hash of an item's content, and its address once it was parsed."""

    content_hash: str
    url: str | None


Item = TypeVar("Item", bound=ClaimedItem)


def items_table(stream: Stream) -> Table:
    """Return the table that holds the items of a stream."""
    return posts if stream == "posts" else documents


def claimed_by(table: Table, *columns: Any, owner: str) -> Select[Any]:
    """Return a select over the rows of a table that belong to the items of a claim."""
    return (
        select(*columns)
        .select_from(work)
        .join(table, and_(table.c.tenant_id == work.c.tenant_id, table.c.source_key == work.c.source_key))
        .where(work.c.owner == owner)
    )


def claimed_keys(owner: str) -> Select[Any]:
    """Return a select over the keys of the items of a claim."""
    return select(work.c.tenant_id, work.c.source_key).where(work.c.owner == owner)


def claimed_work(connection: Connection, owner: str) -> list[ClaimedWork]:
    """Return the rows of work of a claim, oldest arrival first."""
    statement = select(*columns_of(work, ClaimedWork)).where(work.c.owner == owner)
    return fetch_all(connection, statement.order_by(work.c.seq), ClaimedWork)


def content_hashes_and_urls(
    connection: Connection, stream: Stream, keys: Collection[ItemKey]
) -> dict[ItemKey, ItemLabel]:
    """Return item -> hash of its content and, once it was parsed, its address."""
    if not keys:
        return {}
    table = items_table(stream)
    columns = (table.c.tenant_id, table.c.source_key, table.c.content_hash, table.c.url)
    found = connection.execute(select(*columns).where(tuple_(table.c.tenant_id, table.c.source_key).in_(keys)))
    return {
        ItemKey(tenant_id, source_key): ItemLabel(content_hash, url)
        for tenant_id, source_key, content_hash, url in found
    }


def claimed_arrivals(connection: Connection, owner: str) -> list[ClaimedArrival]:
    """Return the raw records behind a claim, oldest arrival first."""
    columns = (
        work.c.tenant_id,
        work.c.source_key,
        work.c.seq,
        inbox.c.payload,
        inbox.c.record_format,
        inbox.c.content_hash,
        inbox.c.received_at,
    )
    statement = select(*columns).join(inbox, inbox.c.seq == work.c.seq).where(work.c.owner == owner)
    return fetch_all(connection, statement.order_by(work.c.seq), ClaimedArrival)


def claimed_items(
    connection: Connection, stream: Stream, owner: str, row: type[Item], *, text_chars: int = 0
) -> list[Item]:
    """Return the items of a claim, oldest arrival first.

    Args:
        row: what to read: its keys are columns of the table of items; None where the table of this stream lacks one.
            ``head``, if it is among them, is the beginning of the text.
        text_chars: characters of ``head``.
    """
    table = items_table(stream)
    computed: dict[str, ColumnElement[Any]] = {
        "has_text": (func.length(table.c.text) > 0).label("has_text"),
        "head": func.substr(table.c.text, 1, text_chars).label("head"),
    }
    columns = [computed.get(column.name, column) for column in columns_of(table, row)]
    return fetch_all(connection, claimed_by(table, *columns, owner=owner).order_by(table.c.seq), row)


def claimed_chunks(connection: Connection, owner: str, *, pages: bool = True) -> list[ChunkRow]:
    """Return the chunks of the items of a claim, without their text, in their order within each item.

    Args:
        pages: whether those of linked pages are among them.
    """
    return fetch_all(connection, _chunks_of(owner, ChunkRow, pages=pages), ChunkRow)


def claimed_texts(connection: Connection, owner: str, *, pages: bool = True) -> list[ChunkWithText]:
    """Return the chunks of the items of a claim with their text, as ``claimed_chunks`` does."""
    return fetch_all(connection, _chunks_of(owner, ChunkWithText, pages=pages), ChunkWithText)


def _chunks_of(owner: str, row: type, *, pages: bool) -> Select[Any]:
    statement = claimed_by(chunks, *columns_of(chunks, row), owner=owner)
    statement = statement if pages else statement.where(chunks.c.part == BODY)
    return statement.order_by(work.c.seq, chunks.c.tenant_id, chunks.c.source_key, chunks.c.part, chunks.c.ordinal)


def earlier_documents(connection: Connection, owner: str, parsed_by: str) -> dict[ItemKey, PreviousChunks]:
    """Return the present chunks of the documents of a claim, of those that were parsed by the same code.

    Args:
        parsed_by: fingerprint of the parsing code.
    """
    columns = (documents.c.tenant_id, documents.c.source_key, documents.c.text)
    texts = connection.execute(claimed_by(documents, *columns, owner=owner).where(documents.c.parsed_by == parsed_by))
    found = {ItemKey(tenant_id, source_key): text for tenant_id, source_key, text in texts}
    spans: dict[ItemKey, list[tuple[int, int]]] = {key: [] for key in found}
    for row in claimed_chunks(connection, owner, pages=False) if found else ():
        if (key := ItemKey.of(row)) in spans:
            spans[key].append((row["start"], row["end"]))
    return {key: PreviousChunks(text, spans[key]) for key, text in found.items()}


def write_items(connection: Connection, stream: Stream, rows: Sequence[Mapping[str, Any]]) -> None:
    """Update columns of existing items; all rows have the same columns besides ``tenant_id`` and ``source_key``."""
    if not rows:
        return
    table = items_table(stream)
    values: dict[str, Any] = {
        name: bindparam(f"v_{name}") for name in rows[0] if name not in {"tenant_id", "source_key"}
    }
    connection.execute(
        update(table)
        .where(table.c.tenant_id == bindparam("k_tenant"), table.c.source_key == bindparam("k_source"))
        .values(values),
        [
            {"k_tenant": row["tenant_id"], "k_source": row["source_key"]} | {f"v_{name}": row[name] for name in values}
            for row in rows
        ],
    )


def mark_processing(connection: Connection, owner: str) -> None:
    """Set the status of a claim's pending documents to ``processing``."""
    mine = tuple_(documents.c.tenant_id, documents.c.source_key).in_(claimed_keys(owner))
    connection.execute(update(documents).where(mine, documents.c.status == "pending").values(status="processing"))


def reset_idle_documents(connection: Connection) -> int:
    """Set documents from ``processing`` back to ``pending`` in hours without any claim; return how many."""
    working = select(work.c.hour).where(work.c.stream == "documents", work.c.state == "working")
    processing = documents.c.status == literal_column("'processing'")  # a literal, so that the partial index is used
    resting = update(documents).where(processing, documents.c.hour.not_in(working)).values(status="pending")
    return connection.execute(resting).rowcount


def reset_failed(connection: Connection, keys: Collection[ItemKey]) -> None:
    """Set the status of failed documents back to ``pending``."""
    if keys:
        mine = tuple_(documents.c.tenant_id, documents.c.source_key).in_(keys)
        waiting = update(documents).where(mine, documents.c.status == "failed")
        connection.execute(waiting.values(status="pending", error=None, error_code=None))


def clear_items(connection: Connection, stream: Stream, keys: Collection[ItemKey]) -> None:
    """Empty all columns that parsing fills."""
    table = items_table(stream)
    parsed = {column.name: None for column in table.c if column.nullable and column.name not in NOT_PARSED}
    mine = tuple_(table.c.tenant_id, table.c.source_key).in_(keys)
    connection.execute(update(table).where(mine).values(**parsed, chunks_count=0))


def arrival_moments(connection: Connection, stream: Stream, keys: Collection[ItemKey]) -> dict[ItemKey, float]:
    """Return item -> when its latest revision arrived, in epoch seconds."""
    if not keys:
        return {}
    table = items_table(stream)
    mine = tuple_(table.c.tenant_id, table.c.source_key).in_(keys)
    rows = connection.execute(select(table.c.tenant_id, table.c.source_key, table.c.received_at).where(mine))
    return {ItemKey(tenant_id, source_key): received_at for tenant_id, source_key, received_at in rows}


def reset_completed(connection: Connection, keys: Collection[ItemKey]) -> None:
    """Set completed documents back to ``processing`` because search does not find them until they are indexed."""
    mine = tuple_(documents.c.tenant_id, documents.c.source_key).in_(keys)
    connection.execute(update(documents).where(mine, documents.c.status == "completed").values(status="processing"))


def replace_chunks(connection: Connection, owner: str, rows: Sequence[ChunkWithText]) -> None:
    """Replace all chunks of the items of a claim."""
    connection.execute(delete(chunks).where(tuple_(chunks.c.tenant_id, chunks.c.source_key).in_(claimed_keys(owner))))
    if rows:
        advisory_lock_shared(connection, TEXTS_LOCK)
        connection.execute(insert(chunks), rows)


def texts_of_points(connection: Connection, keys: Sequence[ChunkKey]) -> dict[ChunkKey, str]:
    """Return chunk texts by ``(tenant_id, source_key, part, ordinal)``."""
    if not keys:
        return {}
    place = (chunks.c.tenant_id, chunks.c.source_key, chunks.c.part, chunks.c.ordinal)
    rows = connection.execute(select(*place, chunks.c.text).where(tuple_(*place).in_(keys)))
    return {ChunkKey(row.tenant_id, row.source_key, row.part, row.ordinal): row.text for row in rows}


def find_item(connection: Connection, stream: Stream, tenant_id: str, source_key: str) -> RowMapping | None:
    """Return all columns of one item, with ``text_chars`` instead of its text, or None."""
    table = items_table(stream)
    columns = [column for column in table.c if column.name not in {"text", "pages"}]
    text = func.length(table.c.text).label("text_chars")
    statement = select(*columns, text).where(table.c.tenant_id == tenant_id, table.c.source_key == source_key)
    return connection.execute(statement).mappings().first()


def tenants_of(connection: Connection, source_key: str, stream: Stream) -> list[str]:
    """Return the tenants that have an item of this source key."""
    table = items_table(stream)
    statement = select(table.c.tenant_id).where(table.c.source_key == source_key).order_by(table.c.tenant_id)
    return list(connection.execute(statement).scalars())


def count_items(connection: Connection, stream: Stream) -> int:
    """Return how many items a stream has."""
    return connection.execute(select(func.count()).select_from(items_table(stream))).scalar_one()
