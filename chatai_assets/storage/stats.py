"""What each batch did: one row per batch, written in the batch's own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert

from chatai_assets.storage.schema.tables import stage_stats


def add_stats(connection: Connection, row: Mapping[str, Any]) -> None:
    """Append ``run_id stream stage hour at done unchanged failed retried seconds``."""
    connection.execute(insert(stage_stats), [dict(row)])
