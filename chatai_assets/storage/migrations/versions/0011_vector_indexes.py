"""Several vector indexes: one serves, another may be filled beside it, and one be kept for a way back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "vector_indexes",
        sa.Column(
            "number", sa.Integer(), autoincrement=False, nullable=False, comment="1 is the first; none comes again"
        ),
        sa.Column(
            "embedder",
            sa.String(length=160),
            nullable=False,
            comment="who embeds: offline, free:512, openrouter:model@1536",
        ),
        sa.Column("model", sa.String(length=128), nullable=False, comment="the key of its vectors"),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="serving, filling, kept or dropping"),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    for state in ("serving", "filling"):
        only = sa.text(f"state = '{state}'")
        op.create_index(
            f"ix_vector_indexes_{state}",
            "vector_indexes",
            ["state"],
            unique=True,
            sqlite_where=only,
            postgresql_where=only,
        )


def downgrade() -> None:
    op.execute("DELETE FROM index_ledger WHERE projection LIKE 'vectors/%'")
    op.execute("DELETE FROM work WHERE stage = 'reindex'")
    op.drop_index("ix_vector_indexes_filling", table_name="vector_indexes")
    op.drop_index("ix_vector_indexes_serving", table_name="vector_indexes")
    op.drop_table("vector_indexes")
