"""Find the documents that are being processed without reading all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0003"

PROCESSING = sa.text("status = 'processing'")


def upgrade() -> None:
    """Index the documents whose status is ``processing``: a few hundred among hundreds of thousands."""
    op.create_index(
        "ix_documents_processing", "documents", ["hour"], sqlite_where=PROCESSING, postgresql_where=PROCESSING
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_documents_processing", "documents")
