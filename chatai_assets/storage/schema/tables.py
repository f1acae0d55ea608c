"""The tables of the record store, the truth of which all else is a projection.

Every primary key starts with the tenant, except where a table is a log. Moments are epoch seconds.
The migrations in ``migrations/versions`` make these tables; a test compares the two.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from chatai_assets.storage.schema import content as fact_schema
from chatai_assets.storage.schema import metadata as schema_metadata
from chatai_assets.storage.schema import projections as index_schema

metadata = schema_metadata.metadata
entities, relations = fact_schema.entities, fact_schema.relations
entity_overrides = fact_schema.entity_overrides
indexes = index_schema.indexes

_LogId = BigInteger().with_variant(Integer, "sqlite")


def _where(condition: str) -> dict[str, Any]:
    """Return what makes an index one of the rows that fulfil a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


inbox = Table(
    "inbox",
    metadata,
    Column("seq", _LogId, primary_key=True, autoincrement=True, comment="order of arrival"),
    Column("idempotency_key", String(64), nullable=False, unique=True),
    Column("source", String(32), nullable=False, comment="the door: file, folder, ..."),
    Column("tenant_id", String(128), nullable=False),
    Column("kind", String(16), nullable=False, comment="post or document"),
    Column("source_key", String(512), nullable=False),
    Column("record_format", String(32), nullable=False),
    Column("payload", JSON, nullable=False, comment="the raw record, or where a document's bytes lie"),
    Column("content_hash", String(64), nullable=False),
    Column("revised_at", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False, comment="latest, superseded or unchanged at the time of arrival"),
    Column("received_at", Float, nullable=False),
    Index("ix_inbox_tenant_id_source_key", "tenant_id", "source_key"),
    Index("ix_inbox_documents", "content_hash", **_where("kind = 'document'")),
    sqlite_autoincrement=True,
)


def _revision_columns() -> tuple[Column[Any], ...]:
    """Return the columns that say which revision of an item is the latest; set when it arrives."""
    return (
        Column("tenant_id", String(128), primary_key=True),
        Column("source_key", String(512), primary_key=True),
        Column("seq", BigInteger, nullable=False),
        Column("revised_at", BigInteger, nullable=False),
        Column("content_hash", String(64), nullable=False),
        Column("hour", String(16), nullable=False),
        Column("received_at", Float, nullable=False),
    )


def _content_columns() -> tuple[Column[Any], ...]:
    """Return the columns that parsing fills."""
    return (
        Column("title", Text),
        Column("channel", Text, comment="title of the chat, or name of the file"),
        Column("url", Text),
        Column("text", Text, comment="parsed text; null before parsing and where it failed"),
        Column("language", String(8)),
        Column("links", JSON),
        Column("published_at", BigInteger),
        Column("expires_at", BigInteger),
        Column("chunks_count", Integer, nullable=False, server_default="0"),
    )


posts = Table(
    "posts",
    metadata,
    *_revision_columns(),
    *_content_columns(),
    Column("chat_id", BigInteger),
    Column("message_id", BigInteger),
    Column("username", Text),
    Column("edited_at", BigInteger),
    Column("forwarded_from", Text),
    Column("album_id", Text),
    Column("media_kind", String(32)),
    Index("ix_posts_expires_at", "expires_at", **_where("expires_at IS NOT NULL")),
)

documents = Table(
    "documents",
    metadata,
    *_revision_columns(),
    *_content_columns(),
    Column("file_name", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("format", String(16)),
    Column("pages", JSON),
    Column("sections", JSON),
    Column("parsed_by", String(64), comment="fingerprint of the code that parsed it"),
    Column("status", String(16), nullable=False, comment="pending, processing, completed or failed"),
    Column("error", Text, comment="a sentence for a person, Russian and English"),
    Column("error_code", String(32)),
    Index("ix_documents_tenant_id_file_name_content_hash", "tenant_id", "file_name", "content_hash"),
    Index("ix_documents_processing", "hour", **_where("status = 'processing'")),
    Index("ix_documents_expires_at", "expires_at", **_where("expires_at IS NOT NULL")),
)

post_enrichment = Table(
    "post_enrichment",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("post_id", String(512), primary_key=True, comment="the source key"),
    Column("kind", String(16), primary_key=True, comment="tags, crawl, vision or ocr"),
    Column("content_hash", String(64), nullable=False),
    Column("value", JSON, nullable=False),
    Column("model", String(128), nullable=False),
    Column("written_at", Float, nullable=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("part", String(64), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("start", Integer, nullable=False, comment="first character in the parsed text"),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("text_hash", String(32), nullable=False),
    Index("ix_chunks_tenant_id_text_hash", "tenant_id", "text_hash"),
)

vectors = Table(
    "vectors",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("text_hash", String(32), primary_key=True),
    Column("dense", LargeBinary, nullable=False, comment="float32, little endian"),
    Column("sparse_indices", LargeBinary, nullable=False, comment="uint32, little endian, ascending"),
    Column("sparse_values", LargeBinary, nullable=False, comment="float32, little endian"),
)

pages = Table(
    "pages",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("url_hash", String(32), primary_key=True),
    Column("url", Text, nullable=False),
    Column("fault", String(32), comment="why it could not be had; null if it was read"),
    Column("page_hash", String(32), comment="of the text; the part of the chunks cut from it"),
    Column("title", Text),
    Column("text", Text),
    Column("etag", String(256), comment="the site's validators of the text"),
    Column("modified", String(256)),
    Column("checked_at", Float, nullable=False, comment="when the site last said so"),
)

work = Table(
    "work",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("stage", String(16), primary_key=True),
    Column("stream", String(16), nullable=False),
    Column("hour", String(16), nullable=False),
    Column("seq", BigInteger, nullable=False, comment="the revision to work on"),
    Column("state", String(16), nullable=False, comment="pending, working, done or failed"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", Float, nullable=False, server_default="0"),
    Column("owner", String(128), comment="fencing token of the claim; null unless working"),
    Column("lease_until", Float),
    Column("losses", Integer, nullable=False, server_default="0", comment="processes lost with its claim"),
    Column("fingerprint", String(64), comment="of the input of the last result"),
    Column("error_class", String(64)),
    Column("run_id", String(64), comment="the run that did it"),
    Column("changed_at", Float, nullable=False),
    Index("ix_work_due", "stream", "stage", "state", "hour", "next_attempt_at"),
    Index("ix_work_owner", "owner", sqlite_where=text("owner IS NOT NULL"), postgresql_where=text("owner IS NOT NULL")),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("stream", String(16), nullable=False),
    Column("hour", String(16), nullable=False, comment="of its latest revision: it still counts there"),
    Column("seq", BigInteger, nullable=False),
    Column("revised_at", BigInteger, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("reason", String(16), nullable=False, comment="expired or forgotten"),
    Column("name_hash", String(32), comment="of a document's file name"),
    Column("condemned_at", Float, nullable=False, comment="fencing token of whoever erases it"),
    Column("erased_at", Float, comment="null while something of it may be left"),
    Index("ix_tombstones_stream_hour", "stream", "hour"),
    Index("ix_tombstones_leaving", "condemned_at", **_where("erased_at IS NULL")),
)

index_ledger = Table(
    "index_ledger",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("projection", String(16), primary_key=True, comment="vectors or graph"),
    Column("intended", JSON, nullable=False, comment="id -> fingerprint, written before the projection is"),
    Column("confirmed", JSON, nullable=False, comment="id -> fingerprint, written after"),
)

worker_dlq = Table(
    "worker_dlq",
    metadata,
    Column("id", _LogId, primary_key=True, autoincrement=True),
    Column("tenant_id", String(128), nullable=False),
    Column("queue_name", String(16), nullable=False, comment="the stream"),
    Column("job_id", String(600), nullable=False, comment="source key and revision"),
    Column("job_name", String(16), nullable=False, comment="the stage"),
    Column("job_data", JSON, nullable=False, comment="keys and sizes, no private text"),
    Column("source_key", String(512), nullable=False),
    Column("error_class", String(64), nullable=False),
    Column("error_message", Text, nullable=False),
    Column("error_stack", Text),
    Column("attempts", Integer, nullable=False),
    Column("first_failed_at", Float, nullable=False),
    Column("last_failed_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("resolved", Boolean, nullable=False, server_default=text("false")),
    Column("resolution_note", Text),
    Column("input_fingerprint", String(64), comment="of the revision's content"),
    Column("code_version", String(64), comment="release, and what the stage computes with"),
    Column("url", Text, comment="where people open the post"),
    Column("announced", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("tenant_id", "queue_name", "job_name", "job_id"),
    Index("ix_worker_dlq_job_name", "job_name"),
    Index("ix_worker_dlq_resolved", "resolved"),
    sqlite_autoincrement=True,
)

stage_stats = Table(
    "stage_stats",
    metadata,
    Column("id", _LogId, primary_key=True, autoincrement=True),
    Column("run_id", String(64), nullable=False),
    Column("stream", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("hour", String(16), nullable=False),
    Column("at", Float, nullable=False),
    Column("done", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("retried", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    sqlite_autoincrement=True,
)

provider_results = Table(
    "provider_results",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("answer", JSON, nullable=False),
    Column("written_at", Float, nullable=False),
    Index("ix_provider_results_written_at", "written_at"),
)

provider_result_uses = Table(
    "provider_result_uses",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("fingerprint", String(64), primary_key=True, comment="of an answer in provider_results"),
    Index("ix_provider_result_uses_fingerprint", "tenant_id", "fingerprint"),
)

quota = Table(
    "quota",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("provider", String(32), primary_key=True),
    Column("window", String(32), primary_key=True, comment="length and start of the window"),
    Column("used", Integer, nullable=False),
)

provider_costs = Table(
    "provider_costs",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("day", String(10), primary_key=True, comment="of UTC, on which it was paid"),
    Column("provider", String(32), primary_key=True),
    Column("stream", String(16), primary_key=True, comment="empty for a search"),
    Column("stage", String(16), primary_key=True, comment="or search"),
    Column("hour", String(16), primary_key=True, comment="of arrival; empty for a search"),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("embedding_tokens", BigInteger, nullable=False),
    Column("unpriced_tokens", BigInteger, nullable=False, comment="those of them whose price nobody knows"),
    Column("money_nano", BigInteger, nullable=False, comment="billionths of the prices' unit"),
    Column("hits", BigInteger, nullable=False, comment="answers that were kept"),
    Column("misses", BigInteger, nullable=False, comment="answers that had to be asked for"),
    Index("ix_provider_costs_hour_stage", "hour", "stage"),
)

calls_under_way = Table(
    "calls_under_way",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("id", String(32), primary_key=True, comment="of a call; of its holder where it waits for a stream"),
    Column("provider", String(32), nullable=False),
    Column("holder", String(32), nullable=False),
    Column("since", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("tokens", BigInteger, nullable=False, comment="reserved"),
    Column("money_nano", BigInteger, nullable=False, comment="reserved"),
    Column("waiting", Boolean, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

outages = Table(
    "outages",
    metadata,
    Column("id", _LogId, primary_key=True, autoincrement=True),
    Column("part", String(32), nullable=False, comment="what is down: a provider or a store"),
    Column("since", Float, nullable=False),
    Column("closed_at", Float, comment="null while it lasts"),
    Column("reason", Text, nullable=False, comment="one sentence, no private text"),
    Column("error_class", String(64), nullable=False),
    Column("places", JSON, nullable=False, comment="stream/stage that failed and did not succeed since"),
    Column("probes", JSON, nullable=False, comment="stream -> how many probes, and when the last was"),
    Column("late", JSON, nullable=False, comment="what waited when it was over"),
    Column("settled", Boolean, nullable=False, comment="whether people were told of its beginning and its end"),
    Index(
        "ix_outages_open",
        "part",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

announcements = Table(
    "announcements",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("held_until", Float, nullable=False, comment="somebody is about to tell it"),
    Column("told_at", Float),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("left", JSON, nullable=False, comment="channels that did not take it"),
)
