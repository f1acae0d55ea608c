"""What each batch did: one row per batch, written in the batch's own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select

from chatai_assets.adapters.records.schema import stage_stats


def add_stats(connection: Connection, row: Mapping[str, Any]) -> None:
    """Append ``run_id stream stage hour at done unchanged failed retried seconds``."""
    connection.execute(insert(stage_stats), [dict(row)])


def totals_of_run(connection: Connection, run_id: str) -> dict[str, int]:
    """Return ``done``, ``failed`` and ``retried`` over all stages of a run."""
    columns = (stage_stats.c.done, stage_stats.c.failed, stage_stats.c.retried)
    sums = [func.coalesce(func.sum(column), 0).label(column.name) for column in columns]
    row = connection.execute(select(*sums).where(stage_stats.c.run_id == run_id)).mappings().one()
    return {name: int(row[name]) for name in ("done", "failed", "retried")}
