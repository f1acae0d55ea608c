"""Linked pages, as they were read last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "pages",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("url_hash", sa.String(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("fault", sa.String(length=32), nullable=True, comment="why it could not be had; null if it was read"),
        sa.Column(
            "page_hash", sa.String(length=32), nullable=True, comment="of the text; the part of the chunks cut from it"
        ),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("etag", sa.String(length=256), nullable=True, comment="the site's validators of the text"),
        sa.Column("modified", sa.String(length=256), nullable=True),
        sa.Column("checked_at", sa.Float(), nullable=False, comment="when the site last said so"),
        sa.PrimaryKeyConstraint("tenant_id", "url_hash"),
    )


def downgrade() -> None:
    op.drop_table("pages")
