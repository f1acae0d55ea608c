"""Items that expired or were forgotten leave a tombstone; what they shared with others is found by index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0004"

EXPIRING = ("posts", "documents")


def upgrade() -> None:
    op.create_table(
        "tombstones",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("source_key", sa.String(length=512), nullable=False),
        sa.Column("stream", sa.String(length=16), nullable=False),
        sa.Column(
            "hour", sa.String(length=16), nullable=False, comment="of its latest revision: it still counts there"
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("revised_at", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False, comment="expired or forgotten"),
        sa.Column("condemned_at", sa.Float(), nullable=False, comment="fencing token of whoever erases it"),
        sa.Column("erased_at", sa.Float(), nullable=True, comment="null while something of it may be left"),
        sa.PrimaryKeyConstraint("tenant_id", "source_key"),
    )
    op.create_index("ix_tombstones_stream_hour", "tombstones", ["stream", "hour"])
    _index("ix_tombstones_leaving", "tombstones", "condemned_at", "erased_at IS NULL")
    for table in EXPIRING:
        _index(f"ix_{table}_expires_at", table, "expires_at", "expires_at IS NOT NULL")
    _index("ix_inbox_documents", "inbox", "content_hash", "kind = 'document'")
    op.create_index("ix_chunks_tenant_id_text_hash", "chunks", ["tenant_id", "text_hash"])
    op.create_index("ix_provider_results_written_at", "provider_results", ["written_at"])


def _index(name: str, table: str, column: str, where: str) -> None:
    op.create_index(name, table, [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    op.drop_index("ix_provider_results_written_at", table_name="provider_results")
    op.drop_index("ix_chunks_tenant_id_text_hash", table_name="chunks")
    op.drop_index("ix_inbox_documents", table_name="inbox")
    for table in EXPIRING:
        op.drop_index(f"ix_{table}_expires_at", table_name=table)
    op.drop_table("tombstones")
