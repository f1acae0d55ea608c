"""The layout of a vector index: an index keeps the one that it was made with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column(
        "vector_indexes",
        sa.Column("layout", sa.Integer(), nullable=True, comment="version of its payload indexes; null is 1"),
    )


def downgrade() -> None:
    op.drop_column("vector_indexes", "layout")
