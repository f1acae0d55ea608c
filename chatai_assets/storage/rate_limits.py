"""Who may call a provider now, and what came of it: counted for all processes and machines together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, delete, select

from chatai_assets.domain.costs import NOTHING, Account, Amount, Cost, amount_of, day_of
from chatai_assets.domain.rate_limits import Grant, Rules, Standing, grains, grant, moves, stale
from chatai_assets.storage import calls, costs
from chatai_assets.storage.calls import Caller
from chatai_assets.storage.schema.tables import quota
from chatai_assets.storage.sql import exclude_others, insert_into


class Turn(NamedTuple):
    """A call that may be made: its id, and when (epoch seconds) it was counted."""

    id: str
    at: float


@dataclass(slots=True)
class Ended:
    """Calls of one tenant that ended.

    Attributes:
        turns: in which they were made.
        unsure: ids of calls that were asked for and not made: whether they were granted, the record store did not say.
        tokens: that they took.
        costs: what they cost, and whatever else is to be written down.
    """

    turns: list[Turn] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    tokens: int = 0
    costs: dict[Account, Cost] = field(default_factory=dict)

    def add(self, turn: Turn | None, account: Account, cost: Cost) -> None:
        """Add a call, or what was found without one."""
        if turn:
            self.turns.append(turn)
        self.tokens += amount_of(cost).tokens
        self.costs.setdefault(account, Cost()).update(cost)

    def __bool__(self) -> bool:
        return bool(self.turns or self.unsure or self.costs)

    def take_over(self, other: Ended) -> None:
        """Add what could not be written down."""
        self.turns += other.turns
        self.unsure += other.unsure
        self.tokens += other.tokens
        for account, cost in other.costs.items():
            self.costs.setdefault(account, Cost()).update(cost)


@dataclass(frozen=True, slots=True)
class Admission:
    """What a caller gets.

    Attributes:
        turns: of the calls that may be made now.
        spent: of today's budget.
    """

    grant: Grant
    turns: Sequence[Turn]
    spent: Amount


def take(
    connection: Connection, caller: Caller, rules: Rules, wanted: Mapping[str, Amount], ended: Ended, now: float
) -> Admission:
    """Settle what ended, and begin as many of the wanted calls as the rules allow now.

    Args:
        wanted: id of each call that waits -> what it may cost.
        now: epoch seconds; machines that share a quota must agree on them within ``domain.quotas.MARGIN_S``.
    """
    exclude_others(connection, f"quota|{caller.tenant_id}")
    if rules.streams is not None:
        exclude_others(connection, f"streams|{caller.provider}")
    _settle(connection, caller, rules, ended, now)
    used = _used(connection, caller)
    rows = calls.under_way(connection, now) if rules.reserve else ()
    standing = Standing(
        used=used,
        spent=costs.spent(connection, caller.tenant_id, day_of(now)) if rules.budget else NOTHING,
        reserved=calls.reserved(rows, caller, everywhere=True),
        reserved_tokens=calls.reserved(rows, caller, everywhere=False).tokens,
        streams=math.inf if rules.streams is None else calls.free_streams(rows, caller, rules.streams),
    )
    estimates = [*wanted.values()]
    granted = grant(standing, rules, estimates, now)
    ids = [*wanted][: granted.calls]
    if ids:
        _count(connection, caller, dict.fromkeys(grains(rules.calls, now), len(ids)))
    if rules.reserve:
        calls.begin(connection, caller, ids, estimates[: len(ids)], now)
    _queue(connection, caller, granted, rows, now)
    _forget(connection, caller, stale(used, (*rules.calls, *rules.tokens), now))
    return Admission(granted, [Turn(call_id, now) for call_id in ids], standing.spent)


def _settle(connection: Connection, caller: Caller, rules: Rules, ended: Ended, now: float) -> None:
    if rules.reserve:
        calls.end(connection, caller.tenant_id, [*(turn.id for turn in ended.turns), *ended.unsure])
    _count(connection, caller, moves(rules.calls, [turn.at for turn in ended.turns], now))
    costs.add_costs(connection, caller.provider, day_of(now), ended.costs)
    if ended.tokens and rules.tokens:
        _count(connection, caller, dict.fromkeys(grains(rules.tokens, now), ended.tokens))


def _queue(connection: Connection, caller: Caller, granted: Grant, rows: Sequence[RowMapping], now: float) -> None:
    """Be one of those who wait for a stream, or be so no longer."""
    if granted.short_of_streams and not granted.over_budget:
        calls.wait(connection, caller, rows, now, anew=granted.calls > 0)
    elif any(row["id"] == caller.holder for row in rows):
        calls.end(connection, caller.tenant_id, [caller.holder])


def _used(connection: Connection, caller: Caller) -> dict[str, int]:
    mine = (quota.c.tenant_id == caller.tenant_id, quota.c.provider == caller.provider)
    return {row.window: row.used for row in connection.execute(select(quota.c.window, quota.c.used).where(*mine))}


def _forget(connection: Connection, caller: Caller, names: Sequence[str]) -> None:
    if names:
        mine = (quota.c.tenant_id == caller.tenant_id, quota.c.provider == caller.provider)
        connection.execute(delete(quota).where(*mine, quota.c.window.in_(names)))


def _count(connection: Connection, caller: Caller, changes: Mapping[str, int]) -> None:
    """Add to the counts of grains, by name."""
    if not changes:
        return
    statement = insert_into(connection, quota)
    keys = ["tenant_id", "provider", "window"]
    more = {"used": quota.c.used + statement.excluded.used}
    place = {"tenant_id": caller.tenant_id, "provider": caller.provider}
    rows = [{**place, "window": grain, "used": change} for grain, change in changes.items()]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=more), rows)
