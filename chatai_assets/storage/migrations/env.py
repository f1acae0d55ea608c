"""Alembic's entry: runs on the connection that ``storage.engine.migrate`` hands over."""

from __future__ import annotations

from alembic import context

from chatai_assets.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
