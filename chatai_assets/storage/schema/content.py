"""The tables of what is said of whom; part of ``schema``, by which they are reached."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text

from chatai_assets.storage.schema.metadata import metadata

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
