"""What items say: arrivals, posts, documents, their chunks, and what models found in them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text

from chatai_assets.storage.schema.metadata import LogId, metadata, rows_where

inbox = Table(
    "inbox",
    metadata,
    Column("seq", LogId, primary_key=True, autoincrement=True, comment="order of arrival"),
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
    Index("ix_inbox_documents", "content_hash", **rows_where("kind = 'document'")),
    sqlite_autoincrement=True,
)
"""Arrivals in the order in which they came; append-only."""


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
    Index("ix_posts_expires_at", "expires_at", **rows_where("expires_at IS NOT NULL")),
)
"""Posts, one row per post: its latest revision."""

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
    Index("ix_documents_processing", "hour", **rows_where("status = 'processing'")),
    Index("ix_documents_expires_at", "expires_at", **rows_where("expires_at IS NOT NULL")),
)
"""Documents, one row per document: its latest revision."""

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
"""The pieces of at most 600 words into which the text of an item is cut."""

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
"""Linked web pages as they were read last."""

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
"""What models and the crawler found out about an item: tags, linked pages, how its text was recognised."""

entities = Table(
    "entities",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("ordinal", Integer, primary_key=True, comment="the chunk it comes from"),
    Column("kind", String(32), primary_key=True),
    Column("form", String(256), primary_key=True),
    Column("name", Text, nullable=False),
    Index("ix_entities_form", "tenant_id", "form", "kind", "source_key"),
)
"""Mentions of people, places and organizations, by chunk."""

relations = Table(
    "relations",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("ordinal", Integer, primary_key=True, comment="the chunk it comes from"),
    Column("subject", String(256), primary_key=True),
    Column("predicate", String(64), primary_key=True),
    Column("object", String(256), primary_key=True),
    Column("weak", Boolean, nullable=False),
)
"""Relations between entities, by chunk."""

entity_overrides = Table(
    "entity_overrides",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("form", String(256), primary_key=True),
    Column("means_kind", String(32), comment="of the entity that the form means"),
    Column("means_key", String(256), comment="null where somebody took an override back"),
    Column("note", Text, nullable=False),
    Column("set_at", Float, nullable=False),
    Column("told_up_to", String(512), comment="source key up to which link was reopened; null if everywhere"),
)
"""What people set a name to mean."""

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
    Index("ix_tombstones_leaving", "condemned_at", **rows_where("erased_at IS NULL")),
)
"""What is left of items that expired or were forgotten, or are about to be erased."""
