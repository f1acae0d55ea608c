"""What calls to providers cost, and which are under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "provider_costs",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False, comment="of UTC, on which it was paid"),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=16), nullable=False, comment="empty for a search"),
        sa.Column("stage", sa.String(length=16), nullable=False, comment="or search"),
        sa.Column("hour", sa.String(length=16), nullable=False, comment="of arrival; empty for a search"),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("embedding_tokens", sa.BigInteger(), nullable=False),
        sa.Column("unpriced_tokens", sa.BigInteger(), nullable=False, comment="those of them whose price nobody knows"),
        sa.Column("money_nano", sa.BigInteger(), nullable=False, comment="billionths of the prices' unit"),
        sa.Column("hits", sa.BigInteger(), nullable=False, comment="answers that were kept"),
        sa.Column("misses", sa.BigInteger(), nullable=False, comment="answers that had to be asked for"),
        sa.PrimaryKeyConstraint("tenant_id", "day", "provider", "stream", "stage", "hour"),
    )
    op.create_index("ix_provider_costs_hour_stage", "provider_costs", ["hour", "stage"])
    op.create_table(
        "calls_under_way",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column(
            "id", sa.String(length=32), nullable=False, comment="of a call; of its holder where it waits for a stream"
        ),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False, comment="reserved"),
        sa.Column("money_nano", sa.BigInteger(), nullable=False, comment="reserved"),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id"),
    )


def downgrade() -> None:
    op.drop_table("calls_under_way")
    op.drop_index("ix_provider_costs_hour_stage", table_name="provider_costs")
    op.drop_table("provider_costs")
