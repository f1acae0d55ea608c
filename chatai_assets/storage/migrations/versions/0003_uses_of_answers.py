"""Which items use which answers of providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "provider_result_uses",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("source_key", sa.String(length=512), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False, comment="of an answer in provider_results"),
        sa.PrimaryKeyConstraint("tenant_id", "source_key", "fingerprint"),
    )
    op.create_index("ix_provider_result_uses_fingerprint", "provider_result_uses", ["tenant_id", "fingerprint"])


def downgrade() -> None:
    op.drop_index("ix_provider_result_uses_fingerprint", table_name="provider_result_uses")
    op.drop_table("provider_result_uses")
