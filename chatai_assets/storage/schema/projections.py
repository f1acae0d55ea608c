"""What vector index and graph hold, and the vectors that points are made of."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, LargeBinary, String, Table

from chatai_assets.storage.schema.metadata import metadata, rows_where

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
"""Embeddings by tenant, model and hash of the text."""

index_ledger = Table(
    "index_ledger",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("projection", String(16), primary_key=True, comment="vectors or graph"),
    Column("intended", JSON, nullable=False, comment="id -> fingerprint, written before the projection is"),
    Column("confirmed", JSON, nullable=False, comment="id -> fingerprint, written after"),
)
"""What each projection holds of an item: intended before the write, confirmed after it."""

indexes = Table(
    "vector_indexes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False, comment="1 is the first; none comes again"),
    Column("embedder", String(160), nullable=False, comment="who embeds: offline, free:512, openrouter:model@1536"),
    Column("model", String(128), nullable=False, comment="the key of its vectors"),
    Column("dimensions", Integer, nullable=False),
    Column("state", String(16), nullable=False, comment="serving, filling, kept or dropping"),
    Column("made_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("layout", Integer, nullable=True, comment="version of its payload indexes; null is 1"),
    Index("ix_vector_indexes_serving", "state", unique=True, **rows_where("state = 'serving'")),
    Index("ix_vector_indexes_filling", "state", unique=True, **rows_where("state = 'filling'")),
)
"""The vector indexes; one of them is active."""
