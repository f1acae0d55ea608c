"""What providers answered, what it cost, and how much a tenant may still ask."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, String, Table

from chatai_assets.storage.schema.metadata import metadata

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
"""Responses of providers, by what they were asked."""

provider_result_uses = Table(
    "provider_result_uses",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("source_key", String(512), primary_key=True),
    Column("fingerprint", String(64), primary_key=True, comment="of an answer in provider_results"),
    Index("ix_provider_result_uses_fingerprint", "tenant_id", "fingerprint"),
)
"""Which items use which response."""

quota = Table(
    "quota",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("provider", String(32), primary_key=True),
    Column("window", String(32), primary_key=True, comment="length and start of the window"),
    Column("used", Integer, nullable=False),
)
"""Calls and tokens of a tenant at a provider, by time window."""

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
"""What was paid to providers, by tenant, day and hour of arrival."""

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
"""Calls that are in flight, and clients that wait for a free slot."""
