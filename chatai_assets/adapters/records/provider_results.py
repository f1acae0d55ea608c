"""Answers of providers by what they were made from: the same question of a tenant is never paid for twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from chatai_assets.adapters.records.dialect import upsert
from chatai_assets.adapters.records.schema import provider_results

AT_ONCE = 500
"""Fingerprints in one statement; SQLite takes 32,766 parameters, planners like fewer."""


def find_results(connection: Connection, tenant_id: str, fingerprints: Sequence[str]) -> dict[str, Any]:
    """Return fingerprint -> answer, of those that are kept."""
    found: dict[str, Any] = {}
    columns = (provider_results.c.fingerprint, provider_results.c.answer)
    for first in range(0, len(fingerprints), AT_ONCE):
        some: Collection[str] = fingerprints[first : first + AT_ONCE]
        mine = provider_results.c.fingerprint.in_(some)
        rows = connection.execute(select(*columns).where(provider_results.c.tenant_id == tenant_id, mine))
        found.update((row.fingerprint, row.answer) for row in rows)
    return found


def keep_results(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep ``tenant_id fingerprint provider answer written_at``; an answer that is there stays."""
    in_order = sorted(rows, key=lambda row: (row["tenant_id"], row["fingerprint"]))
    upsert(connection, provider_results, in_order, update=())
