"""Rate limits of providers, counted across all processes and machines: calls in flight, and calls per time window.

A row of ``calls_under_way`` lives as long as its call may take. A killed process leaves its rows behind; they count
until their lease ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

from sqlalchemy import Connection, delete, insert, select

from chatai_assets.domain.costs import NOTHING, Account, Amount, Cost, amount_of, day_of
from chatai_assets.domain.rate_limits import CurrentUsage, Decision, RateLimitRules, buckets, decide, rebucket, stale
from chatai_assets.storage import costs
from chatai_assets.storage.schema import calls_under_way, quota
from chatai_assets.storage.sql import advisory_lock, columns_of, fetch_all, insert_into, upsert

WAITING_CLIENT_LEASE_S = 3.0
"""A waiting client polls ten times a second; after this time without a poll it loses its place in the queue."""

LONGEST_LEASE_S = 600.0
"""No call takes longer: a lease that ends later was written by a wrong clock and is ignored."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The client that asks for permits.

    Attributes:
        client_id: owner of its calls: one process and provider.
        lease_s: seconds after which calls of a dead client no longer count.
    """

    tenant_id: str
    provider: str
    client_id: str
    lease_s: float


class CallRow(TypedDict):
    """A call in flight, or a client that waits for a free slot (``waiting``).

    Attributes:
        id: of the call; of the client where it waits.
        holder: the client.
        since: epoch seconds; so is ``lease_until``.
        tokens: reserved; so is ``money_nano``, in billionths of the prices' unit.
    """

    tenant_id: str
    id: str
    provider: str
    holder: str
    since: float
    lease_until: float
    tokens: int
    money_nano: int
    waiting: bool


class Permit(NamedTuple):
    """A call that may be made: its id, and when (epoch seconds) it was counted."""

    id: str
    at: float


@dataclass(slots=True)
class FinishedCalls:
    """Calls of one tenant that ended and are not recorded yet.

    Attributes:
        permits: under which they were made.
        unacknowledged: ids of calls that were requested and not made, because the record store did not answer whether
            they were granted.
        tokens: that they used.
        costs: account -> what they cost, with cache hits and misses.
    """

    permits: list[Permit] = field(default_factory=list)
    unacknowledged: list[str] = field(default_factory=list)
    tokens: int = 0
    costs: dict[Account, Cost] = field(default_factory=dict)

    def add(self, permit: Permit | None, account: Account, cost: Cost) -> None:
        """Add a call, or a cost without one (a cache hit)."""
        if permit:
            self.permits.append(permit)
        self.tokens += amount_of(cost).tokens
        self.costs.setdefault(account, Cost()).update(cost)

    def __bool__(self) -> bool:
        return bool(self.permits or self.unacknowledged or self.costs)

    def merge(self, other: FinishedCalls) -> None:
        """Add calls that could not be recorded yet."""
        self.permits += other.permits
        self.unacknowledged += other.unacknowledged
        self.tokens += other.tokens
        for account, cost in other.costs.items():
            self.costs.setdefault(account, Cost()).update(cost)


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a request for permits.

    Attributes:
        decision: how many calls are granted, and what limits them.
        permits: of the calls that may be made now.
        spent: amount spent of today's budget.
    """

    decision: Decision
    permits: Sequence[Permit]
    spent: Amount


def admit(
    connection: Connection,
    caller: Caller,
    rules: RateLimitRules,
    wanted: Mapping[str, Amount],
    ended: FinishedCalls,
    now: float,
) -> Admission:
    """Record finished calls, and grant as many of the wanted calls as the limits allow now.

    Args:
        wanted: id of each waiting call -> its estimated cost.
        now: epoch seconds; machines that share a quota must agree on them within ``domain.rate_limits.MARGIN_S``.
    """
    advisory_lock(connection, f"quota|{caller.tenant_id}")
    if rules.concurrency is not None:
        advisory_lock(connection, f"streams|{caller.provider}")
    _record_finished(connection, caller, rules, ended, now)
    used = _used(connection, caller)
    rows = in_flight(connection, now) if rules.reserve else ()
    standing = CurrentUsage(
        used=used,
        spent=costs.spent(connection, caller.tenant_id, day_of(now)) if rules.budget else NOTHING,
        reserved=reserved_amount(rows, caller, everywhere=True),
        reserved_tokens=reserved_amount(rows, caller, everywhere=False).tokens,
        free_slots=math.inf if rules.concurrency is None else free_slots(rows, caller, rules.concurrency),
    )
    estimates = [*wanted.values()]
    granted = decide(standing, rules, estimates, now)
    ids = [*wanted][: granted.calls]
    if ids:
        _count(connection, caller, dict.fromkeys(buckets(rules.calls, now), len(ids)))
    if rules.reserve:
        add_calls(connection, caller, ids, estimates[: len(ids)], now)
    _queue(connection, caller, granted, rows, now)
    _drop_windows(connection, caller, stale(used, (*rules.calls, *rules.tokens), now))
    return Admission(granted, [Permit(call_id, now) for call_id in ids], standing.spent)


def _record_finished(
    connection: Connection, caller: Caller, rules: RateLimitRules, ended: FinishedCalls, now: float
) -> None:
    if rules.reserve:
        remove_calls(connection, caller.tenant_id, [*(permit.id for permit in ended.permits), *ended.unacknowledged])
    _count(connection, caller, rebucket(rules.calls, [permit.at for permit in ended.permits], now))
    costs.add_costs(connection, caller.provider, day_of(now), ended.costs)
    if ended.tokens and rules.tokens:
        _count(connection, caller, dict.fromkeys(buckets(rules.tokens, now), ended.tokens))


def _queue(connection: Connection, caller: Caller, granted: Decision, rows: Sequence[CallRow], now: float) -> None:
    """Join the queue for a free slot, or leave it."""
    if granted.short_of_slots and not granted.over_budget:
        wait_for_slot(connection, caller, rows, now, at_end=granted.calls > 0)
    elif any(row["id"] == caller.client_id for row in rows):
        remove_calls(connection, caller.tenant_id, [caller.client_id])


def _used(connection: Connection, caller: Caller) -> dict[str, int]:
    mine = (quota.c.tenant_id == caller.tenant_id, quota.c.provider == caller.provider)
    return {row.window: row.used for row in connection.execute(select(quota.c.window, quota.c.used).where(*mine))}


def _drop_windows(connection: Connection, caller: Caller, names: Sequence[str]) -> None:
    if names:
        mine = (quota.c.tenant_id == caller.tenant_id, quota.c.provider == caller.provider)
        connection.execute(delete(quota).where(*mine, quota.c.window.in_(names)))


def _count(connection: Connection, caller: Caller, changes: Mapping[str, int]) -> None:
    """Add to the counts of windows, by name."""
    if not changes:
        return
    statement = insert_into(connection, quota)
    keys = ["tenant_id", "provider", "window"]
    more = {"used": quota.c.used + statement.excluded.used}
    place = {"tenant_id": caller.tenant_id, "provider": caller.provider}
    rows = [{**place, "window": window, "used": change} for window, change in changes.items()]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=more), rows)


def in_flight(connection: Connection, now: float) -> Sequence[CallRow]:
    """Return all calls in flight and all waiting clients; delete those whose lease has expired."""
    rows = fetch_all(connection, select(*columns_of(calls_under_way, CallRow)), CallRow)
    lapsed = [row for row in rows if row["lease_until"] <= now]
    if lapsed:
        connection.execute(delete(calls_under_way).where(calls_under_way.c.lease_until <= now))
    return [row for row in rows if now < row["lease_until"] <= now + LONGEST_LEASE_S]


def reserved_amount(rows: Iterable[CallRow], caller: Caller, *, everywhere: bool) -> Amount:
    """Return what is reserved for a tenant's calls in flight, at the caller's provider or everywhere."""
    mine = [row for row in rows if row["tenant_id"] == caller.tenant_id and not row["waiting"]]
    mine = [row for row in mine if everywhere or row["provider"] == caller.provider]
    return Amount(sum(row["tokens"] for row in mine), sum(row["money_nano"] for row in mine))


def free_slots(rows: Iterable[CallRow], caller: Caller, concurrency: int) -> int:
    """Return how many calls a caller may start; one slot is left to each client that has waited longer.

    Args:
        concurrency: concurrent calls allowed at the provider.
    """
    at_provider = [row for row in rows if row["provider"] == caller.provider]
    taken = sum(not row["waiting"] for row in at_provider)
    mine = (caller.tenant_id, caller.client_id)
    waiting = {(row["tenant_id"], row["holder"]): row["since"] for row in at_provider if row["waiting"]}
    since = waiting.pop(mine, None)
    before = sum(since is None or other < since for other in waiting.values())
    return max(concurrency - taken - before, 0)


def add_calls(
    connection: Connection, caller: Caller, ids: Sequence[str], estimates: Sequence[Amount], now: float
) -> None:
    """Record calls that start."""
    rows = [
        _call(caller, call_id, now, now + caller.lease_s, estimate, waiting=False)
        for call_id, estimate in zip(ids, estimates, strict=True)
    ]
    if rows:
        connection.execute(insert(calls_under_way), rows)


def remove_calls(connection: Connection, tenant_id: str, ids: Sequence[str]) -> None:
    """Delete calls that ended."""
    if ids:
        connection.execute(
            delete(calls_under_way).where(calls_under_way.c.tenant_id == tenant_id, calls_under_way.c.id.in_(ids))
        )


def wait_for_slot(connection: Connection, caller: Caller, rows: Iterable[CallRow], now: float, *, at_end: bool) -> None:
    """Stay in the queue for a free slot; a client that just got one goes to its end (``at_end``)."""
    place = next((row["since"] for row in rows if row["id"] == caller.client_id and row["waiting"]), now)
    since, lease_until = now if at_end else place, now + WAITING_CLIENT_LEASE_S
    upsert(connection, calls_under_way, [_call(caller, caller.client_id, since, lease_until, NOTHING, waiting=True)])


def release_client(connection: Connection, client_id: str) -> None:
    """Delete all calls of a client that ends."""
    connection.execute(delete(calls_under_way).where(calls_under_way.c.holder == client_id))


def _call(
    caller: Caller, call_id: str, since: float, lease_until: float, reserved: Amount, *, waiting: bool
) -> CallRow:
    return {
        "tenant_id": caller.tenant_id,
        "id": call_id,
        "provider": caller.provider,
        "holder": caller.client_id,
        "since": since,
        "lease_until": lease_until,
        "tokens": reserved.tokens,
        "money_nano": reserved.money_nano,
        "waiting": waiting,
    }
