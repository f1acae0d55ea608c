"""Outages that all processes share, and what people were told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0007"

LOG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outages",
        sa.Column("id", LOG_ID, autoincrement=True, nullable=False),
        sa.Column("part", sa.String(length=32), nullable=False, comment="what is down: a provider or a store"),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=True, comment="null while it lasts"),
        sa.Column("reason", sa.Text(), nullable=False, comment="one sentence, no private text"),
        sa.Column("error_class", sa.String(length=64), nullable=False),
        sa.Column("places", sa.JSON(), nullable=False, comment="stream/stage that failed and did not succeed since"),
        sa.Column(
            "probes",
            sa.JSON(),
            nullable=False,
            comment="stream -> how many probes, and when the last was",
        ),
        sa.Column("late", sa.JSON(), nullable=False, comment="what waited when it was over"),
        sa.Column(
            "settled", sa.Boolean(), nullable=False, comment="whether people were told of its beginning and its end"
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outages_open",
        "outages",
        ["part"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "announcements",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("held_until", sa.Float(), nullable=False, comment="somebody is about to tell it"),
        sa.Column("told_at", sa.Float(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("left", sa.JSON(), nullable=False, comment="channels that did not take it"),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("announcements")
    op.drop_index("ix_outages_open", table_name="outages")
    op.drop_table("outages")
