"""What is to be done and what became of it: the work queue, dead letters, statistics, outages, notifications."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from chatai_assets.storage.schema.metadata import LogId, metadata, rows_where

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
    Index("ix_work_owner", "owner", **rows_where("owner IS NOT NULL")),
)
"""The work queue: one row per item and stage."""

worker_dlq = Table(
    "worker_dlq",
    metadata,
    Column("id", LogId, primary_key=True, autoincrement=True),
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
"""Dead letters: items that failed permanently at a stage."""

stage_stats = Table(
    "stage_stats",
    metadata,
    Column("id", LogId, primary_key=True, autoincrement=True),
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
"""What batches did; retention sums up old rows."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)
"""Named JSON values that outlive a process."""

outages = Table(
    "outages",
    metadata,
    Column("id", LogId, primary_key=True, autoincrement=True),
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
        **rows_where("closed_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)
"""Circuit breakers shared by all processes: one row per outage."""

announcements = Table(
    "announcements",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("held_until", Float, nullable=False, comment="somebody is about to tell it"),
    Column("told_at", Float),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("left", JSON, nullable=False, comment="channels that did not take it"),
)
"""Notifications that were sent or are about to be sent."""
