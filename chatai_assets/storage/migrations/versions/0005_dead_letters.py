"""What a dead letter says of its input and code, whether people were told of it, and how often work was lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("worker_dlq") as table:
        table.add_column(sa.Column("input_fingerprint", sa.String(64), comment="of the revision's content"))
        table.add_column(sa.Column("code_version", sa.String(64), comment="release, and what the stage computes with"))
        table.add_column(sa.Column("url", sa.Text(), comment="where people open the post"))
        table.add_column(sa.Column("announced", sa.Boolean(), server_default=sa.text("(false)"), nullable=False))
    with op.batch_alter_table("work") as table:
        table.add_column(
            sa.Column(
                "losses", sa.Integer(), server_default="0", nullable=False, comment="processes lost with its claim"
            )
        )


def downgrade() -> None:
    with op.batch_alter_table("work") as table:
        table.drop_column("losses")
    with op.batch_alter_table("worker_dlq") as table:
        for name in ("announced", "url", "code_version", "input_fingerprint"):
            table.drop_column(name)
