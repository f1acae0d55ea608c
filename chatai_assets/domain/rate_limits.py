"""Rate limits: how many calls a tenant may begin, as pure functions of (counts, now).

Windows slide: a limit is stored as counts of short buckets, and a bucket counts until all of it is older than the
limit's seconds. So no minute, wherever it begins, contains more calls than the limit.

A call is counted at its start, and moved to its end when it ends, since it is unknown when in between it reached the
provider. Its cost is known when it ends; until then its estimate is reserved.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chatai_assets.domain.costs import NO_BUDGET, NOTHING, Amount, Budget

MARGIN_S = 0.5
"""How much the clocks of machines may differ."""
AHEAD_S = 60.0
"""Counts further in the future come from a wrong clock and are ignored."""
SOON_S = 0.1
"""Seconds to wait for calls in flight before checking again."""
SHORTEST_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls, or tokens, in so many seconds; counted in grains of ``grain_s`` seconds."""

    most: int
    seconds: int
    grain_s: int
    of: str = ""


@dataclass(frozen=True, slots=True)
class RateLimitRules:
    """Limits of the calls of a tenant to a provider.

    Attributes:
        calls: limits of calls.
        tokens: limits of tokens; none by default.
        budget: of the tenant at all providers.
        concurrency: calls at a time of all tenants and processes together; None for no limit.
    """

    calls: tuple[Limit, ...]
    tokens: tuple[Limit, ...] = ()
    budget: Budget = NO_BUDGET
    concurrency: int | None = None

    @property
    def reserve(self) -> bool:
        """Return whether others must know of calls that are under way."""
        return bool(self.tokens or self.budget or self.concurrency is not None)


@dataclass(frozen=True, slots=True)
class CurrentUsage:
    """Current usage of a tenant at a provider.

    Attributes:
        used: name of a grain -> calls or tokens counted in it.
        spent: of the budget, today.
        reserved: for calls of the tenant under way, at all providers.
        reserved_tokens: those of them at this provider.
        free_slots: concurrent calls that the tenant may start now.
    """

    used: Mapping[str, int] = field(default_factory=dict)
    spent: Amount = NOTHING
    reserved: Amount = NOTHING
    reserved_tokens: int = 0
    free_slots: float = math.inf


@dataclass(frozen=True, slots=True)
class Decision:
    """How many calls a tenant may start.

    Attributes:
        calls: that may be made now.
        wait_s: seconds after which more may be asked for; 0 when all were granted.
        over_budget: whether the budget of the day is spent: nothing more is granted today.
        short_of_slots: whether it is other calls that are waited for.
    """

    calls: int
    wait_s: float
    over_budget: bool = False
    short_of_slots: bool = False


def limits_of(per_minute: int, per_hour: int, per_day: int) -> tuple[Limit, ...]:
    """Return the three limits of a tenant's calls to a provider."""
    return Limit(per_minute, 60, 1), Limit(per_hour, 3_600, 60), Limit(per_day, 86_400, 3_600)


def token_limits(per_minute: int | None, per_day: int | None) -> tuple[Limit, ...]:
    """Return the limits of a tenant's tokens at a provider; None is no limit."""
    minute = () if per_minute is None else (Limit(per_minute, 60, 1, "tokens "),)
    return minute if per_day is None else (*minute, Limit(per_day, 86_400, 3_600, "tokens "))


def decide(standing: CurrentUsage, rules: RateLimitRules, estimates: Sequence[Amount], now: float) -> Decision:
    """Return how many of the first calls may begin now.

    Args:
        estimates: what each call that waits may cost.
        now: epoch seconds.
    """
    tokens = [estimate.tokens for estimate in estimates]
    by_limit = [
        fit(standing.used, rules.calls, [1] * len(estimates), now),
        fit(standing.used, rules.tokens, tokens, now, standing.reserved_tokens),
        (_within(standing, rules.budget, estimates), SOON_S),
    ]
    allowed = min(count for count, _ in by_limit)
    calls = int(min(allowed, standing.free_slots))
    waits = [wait for count, wait in by_limit if count == calls]
    return Decision(
        calls=calls,
        wait_s=0.0 if calls == len(estimates) else max(waits, default=SOON_S),
        over_budget=bool(estimates) and rules.budget.is_spent(standing.spent),
        short_of_slots=calls < allowed,
    )


def fit(
    used: Mapping[str, int], limits: Sequence[Limit], sizes: Sequence[int], now: float, reserved: int = 0
) -> tuple[int, float]:
    """Return how many of the first sizes fit into all limits, and seconds until the next may; 0 when all fit.

    A size beyond a whole limit counts as that limit: it would otherwise wait for ever.
    """
    if not limits:
        return len(sizes), 0.0
    largest = min(limit.most for limit in limits)
    live = {limit: _live(used, limit, now) for limit in limits}
    room = {limit: limit.most - sum(live[limit].values()) for limit in limits}
    count = taken = 0
    for size in sizes:
        if taken + min(size, largest) > min(room.values()) - reserved:
            break
        count, taken = count + 1, taken + min(size, largest)
    if count == len(sizes):
        return count, 0.0
    more = taken + min(sizes[count], largest)
    full = [limit for limit in limits if more > room[limit]]
    wait = max((_free_at(min(live[limit], default=_bucket(limit, now)), limit) - now for limit in full), default=SOON_S)
    return count, max(wait, SHORTEST_WAIT_S)


def _within(standing: CurrentUsage, budget: Budget, estimates: Sequence[Amount]) -> int:
    """Return how many calls may begin: each while anything is left, for an estimate may be far too large."""
    amount = standing.spent.plus(standing.reserved)
    for count, estimate in enumerate(estimates):
        if budget.is_spent(amount):
            return count
        amount = amount.plus(estimate)
    return len(estimates)


def buckets(limits: Iterable[Limit], now: float) -> tuple[str, ...]:
    """Return the names of the grains in which something is counted now."""
    return tuple(_name(limit, _bucket(limit, now)) for limit in limits)


def rebucket(limits: Iterable[Limit], began: Iterable[float], now: float) -> dict[str, int]:
    """Return bucket name -> change of its count, to move calls that ended now from their start to their end.

    The provider may have counted a call as late as its end. Counted there, it cannot overfill a later window; it is
    removed from the bucket of its start, if that bucket still counts.
    """
    changes: Counter[str] = Counter()
    for limit in limits:
        for at in began:
            then, here = _bucket(limit, at), _bucket(limit, now)
            if then < here:
                changes[_name(limit, here)] += 1
                changes[_name(limit, then)] -= _free_at(then, limit) > now
    return {name: change for name, change in changes.items() if change}


def stale(used: Mapping[str, int], limits: Iterable[Limit], now: float) -> tuple[str, ...]:
    """Return the names of buckets that have expired."""
    counted = {_name(limit, start) for limit in limits for start in _live(used, limit, now, math.inf)}
    return tuple(name for name in used if name not in counted)


def _live(used: Mapping[str, int], limit: Limit, now: float, ahead_s: float = AHEAD_S) -> dict[int, int]:
    """Return start of a grain -> count, of those that count."""
    prefix = f"{limit.of}{limit.seconds}/{limit.grain_s}:"
    starts = {int(name.removeprefix(prefix)): calls for name, calls in used.items() if name.startswith(prefix)}
    return {start: calls for start, calls in starts.items() if start <= now + ahead_s and _free_at(start, limit) > now}


def _free_at(start: int, limit: Limit) -> float:
    return start + limit.grain_s + limit.seconds + MARGIN_S


def _bucket(limit: Limit, now: float) -> int:
    return math.floor(now / limit.grain_s) * limit.grain_s


def _name(limit: Limit, start: int) -> str:
    return f"{limit.of}{limit.seconds}/{limit.grain_s}:{start}"
