"""How many calls a tenant may make, as plain functions of (counts, now).

A limit's time slides: it is kept as counts of short grains, and a grain counts until all of it is older than the
limit's seconds. So no minute, wherever it begins, holds more calls than a minute may.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MARGIN_S = 0.5
"""How much later than planned a call may reach the provider, without it counting one too many."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls in so many seconds; counted in grains of ``grain_s`` seconds."""

    calls: int
    seconds: int
    grain_s: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a tenant gets.

    Attributes:
        calls: that may be made now.
        wait_s: seconds after which more may be asked for; 0 when all were granted.
        grains: names of the grains under which the calls are counted.
        stale: names of grains that count no more.
    """

    calls: int
    wait_s: float
    grains: tuple[str, ...]
    stale: tuple[str, ...]


def limits_of(per_minute: int, per_hour: int, per_day: int) -> tuple[Limit, ...]:
    """Return the three limits of a tenant at a provider."""
    return Limit(per_minute, 60, 1), Limit(per_hour, 3_600, 60), Limit(per_day, 86_400, 3_600)


def grant(used: Mapping[str, int], limits: Iterable[Limit], wanted: int, now: float) -> Grant:
    """Return how many of the wanted calls fit into all limits now.

    Args:
        used: name of a grain -> calls made in it.
        now: epoch seconds.
    """
    limits = tuple(limits)
    live = {limit: _live(used, limit, now) for limit in limits}
    room = min(limit.calls - sum(live[limit].values()) for limit in limits)
    calls = max(0, min(wanted, room))
    full = [limit for limit in limits if limit.calls - sum(live[limit].values()) <= calls]
    wait = max((_free_at(min(live[limit], default=_grain(limit, now)), limit) - now for limit in full), default=0.0)
    counted = {_name(limit, start) for limit in limits for start in live[limit]}
    return Grant(
        calls=calls,
        wait_s=0.0 if calls == wanted else max(wait, 0.05),
        grains=tuple(_name(limit, _grain(limit, now)) for limit in limits),
        stale=tuple(name for name in used if name not in counted),
    )


def _live(used: Mapping[str, int], limit: Limit, now: float) -> dict[int, int]:
    """Return start of a grain -> calls, of those that count."""
    prefix = f"{limit.seconds}/{limit.grain_s}:"
    starts = {int(name.removeprefix(prefix)): calls for name, calls in used.items() if name.startswith(prefix)}
    return {start: calls for start, calls in starts.items() if _free_at(start, limit) > now}


def _free_at(start: int, limit: Limit) -> float:
    return start + limit.grain_s + limit.seconds + MARGIN_S


def _grain(limit: Limit, now: float) -> int:
    return math.floor(now / limit.grain_s) * limit.grain_s


def _name(limit: Limit, start: int) -> str:
    return f"{limit.seconds}/{limit.grain_s}:{start}"
