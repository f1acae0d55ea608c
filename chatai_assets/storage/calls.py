"""Calls to providers that are under way, and who waits for a stream: what processes must know of each other.

A row lives as long as a call may take. Who is killed leaves it behind, and it counts until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from chatai_assets.domain.costs import NOTHING, Amount
from chatai_assets.storage.schema.tables import calls_under_way
from chatai_assets.storage.sql import upsert

WAITER_LEASE_S = 3.0
"""Whoever waits looks again ten times a second; who does not come back is waited for no longer than this."""

LONGEST_LEASE_S = 600.0
"""No call may take longer: what lies further ahead was written by a clock that was wrong, and holds nobody up."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        holder: of its calls; a process, and in it the way to one provider.
        lease_s: seconds after which a call of a holder that is gone counts no more.
    """

    tenant_id: str
    provider: str
    holder: str
    lease_s: float


def under_way(connection: Connection, now: float) -> Sequence[RowMapping]:
    """Return the calls of everybody that are under way and those who wait, and forget those that lapsed."""
    rows = connection.execute(select(calls_under_way)).mappings().all()
    lapsed = [row for row in rows if row["lease_until"] <= now]
    if lapsed:
        connection.execute(delete(calls_under_way).where(calls_under_way.c.lease_until <= now))
    return [row for row in rows if now < row["lease_until"] <= now + LONGEST_LEASE_S]


def reserved(rows: Iterable[RowMapping], caller: Caller, *, everywhere: bool) -> Amount:
    """Return what is reserved for calls of a tenant under way: at one provider, or everywhere."""
    mine = [row for row in rows if row["tenant_id"] == caller.tenant_id and not row["waiting"]]
    mine = [row for row in mine if everywhere or row["provider"] == caller.provider]
    return Amount(sum(row["tokens"] for row in mine), sum(row["money_nano"] for row in mine))


def free_streams(rows: Iterable[RowMapping], caller: Caller, streams: int) -> int:
    """Return how many calls a caller may begin; one stream is left to each who has been waiting for longer."""
    at_provider = [row for row in rows if row["provider"] == caller.provider]
    taken: int = sum(not row["waiting"] for row in at_provider)
    mine = (caller.tenant_id, caller.holder)
    waiting = {(row["tenant_id"], row["holder"]): row["since"] for row in at_provider if row["waiting"]}
    since = waiting.pop(mine, None)
    before: int = sum(since is None or other < since for other in waiting.values())
    return max(streams - taken - before, 0)


def begin(connection: Connection, caller: Caller, ids: Sequence[str], estimates: Sequence[Amount], now: float) -> None:
    """Write down calls that begin."""
    rows = [
        {**_row(caller, call_id, now, now + caller.lease_s), **estimate._asdict(), "waiting": False}
        for call_id, estimate in zip(ids, estimates, strict=True)
    ]
    if rows:
        connection.execute(insert(calls_under_way), rows)


def end(connection: Connection, tenant_id: str, ids: Sequence[str]) -> None:
    """Forget calls that ended."""
    if ids:
        connection.execute(
            delete(calls_under_way).where(calls_under_way.c.tenant_id == tenant_id, calls_under_way.c.id.in_(ids))
        )


def wait(connection: Connection, caller: Caller, rows: Iterable[RowMapping], now: float, *, anew: bool) -> None:
    """Stay in the queue for a stream; who got one goes to its end."""
    place = next((row["since"] for row in rows if row["id"] == caller.holder and row["waiting"]), now)
    row = _row(caller, caller.holder, now if anew else place, now + WAITER_LEASE_S)
    upsert(connection, calls_under_way, [{**row, **NOTHING._asdict(), "waiting": True}])


def free(connection: Connection, holder: str) -> None:
    """Forget all of a holder that ends."""
    connection.execute(delete(calls_under_way).where(calls_under_way.c.holder == holder))


def _row(caller: Caller, call_id: str, since: float, lease_until: float) -> dict[str, Any]:
    return {
        "tenant_id": caller.tenant_id,
        "id": call_id,
        "provider": caller.provider,
        "holder": caller.holder,
        "since": since,
        "lease_until": lease_until,
    }
