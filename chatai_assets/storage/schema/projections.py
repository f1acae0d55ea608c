"""The table of the vector indexes; part of ``schema``, by which it is reached."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, text

from chatai_assets.storage.schema.metadata import metadata

_ONE_SERVES, _ONE_IS_FILLED = (text(f"state = '{state}'") for state in ("serving", "filling"))

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
    Index("ix_vector_indexes_serving", "state", unique=True, sqlite_where=_ONE_SERVES, postgresql_where=_ONE_SERVES),
    Index(
        "ix_vector_indexes_filling", "state", unique=True, sqlite_where=_ONE_IS_FILLED, postgresql_where=_ONE_IS_FILLED
    ),
)
