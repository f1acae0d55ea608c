"""How many calls each tenant made at each provider, counted for all processes and machines together."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from chatai_assets.adapters.records.dialect import exclude_others, insert_into
from chatai_assets.adapters.records.schema import quota
from chatai_assets.domain.quotas import Grant, Limit, grant


def take(
    connection: Connection, tenant_id: str, provider: str, limits: Sequence[Limit], wanted: int, now: float
) -> Grant:
    """Take as many of the wanted calls as the limits allow now, and count them.

    Args:
        now: epoch seconds; machines that share a quota must agree on them within ``domain.quotas.MARGIN_S``.
    """
    exclude_others(connection, f"quota|{tenant_id}|{provider}")
    mine = (quota.c.tenant_id == tenant_id, quota.c.provider == provider)
    used = {row.window: row.used for row in connection.execute(select(quota.c.window, quota.c.used).where(*mine))}
    granted = grant(used, limits, wanted, now)
    if granted.calls:
        _count(connection, tenant_id, provider, granted)
    if granted.stale:
        connection.execute(delete(quota).where(*mine, quota.c.window.in_(granted.stale)))
    return granted


def _count(connection: Connection, tenant_id: str, provider: str, granted: Grant) -> None:
    statement = insert_into(connection, quota)
    keys = ["tenant_id", "provider", "window"]
    more = {"used": quota.c.used + statement.excluded.used}
    rows = [
        {"tenant_id": tenant_id, "provider": provider, "window": grain, "used": granted.calls}
        for grain in granted.grains
    ]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=more), rows)
