"""By which code a document was cut: its chunks may stay where an edit does not touch them if that is still the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column(
        "documents",
        sa.Column("parsed_by", sa.String(length=64), nullable=True, comment="fingerprint of the code that parsed it"),
    )


def downgrade() -> None:
    op.drop_column("documents", "parsed_by")
