"""What people set names to mean, and the graph drawn anew with one node for all forms of a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

AGAIN = (
    "UPDATE work SET state = 'pending', attempts = 0, losses = 0, next_attempt_at = 0 "
    "WHERE stage = 'link' AND state = 'done'"
)
"""No model is asked for that; nothing else of the items is done again."""


def upgrade() -> None:
    op.create_table(
        "entity_overrides",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("form", sa.String(length=256), nullable=False),
        sa.Column("means_kind", sa.String(length=32), nullable=True, comment="of the entity that the form means"),
        sa.Column(
            "means_key", sa.String(length=256), nullable=True, comment="null where somebody took an override back"
        ),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("set_at", sa.Float(), nullable=False),
        sa.Column(
            "told_up_to",
            sa.String(length=512),
            nullable=True,
            comment="source key up to which link was reopened; null if everywhere",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "form"),
    )
    op.create_index("ix_entities_form", "entities", ["tenant_id", "form", "kind", "source_key"])
    op.execute(AGAIN)


def downgrade() -> None:
    op.drop_index("ix_entities_form", table_name="entities")
    op.drop_table("entity_overrides")
    op.execute(AGAIN)
