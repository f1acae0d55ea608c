"""Tombstones of documents know the file by the hash of its name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0010"


def upgrade() -> None:
    op.add_column(
        "tombstones", sa.Column("name_hash", sa.String(length=32), nullable=True, comment="of a document's file name")
    )


def downgrade() -> None:
    op.drop_column("tombstones", "name_hash")
