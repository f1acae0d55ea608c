"""Giving back what nobody works on any more, so that no claim and no status outlives whoever set it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chatai_assets.observability import CLAIMS_FREED, CLOCK_AHEAD, log
from chatai_assets.pipeline.engine import reclaim_dead_leases
from chatai_assets.pipeline.worker_id import is_running
from chatai_assets.storage import items as content
from chatai_assets.storage import leases
from chatai_assets.storage import leases as claims
from chatai_assets.storage.engine import Records

FAR_LEASES = 2
"""Leases ahead: no clock that is right says so."""


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What was given back.

    Attributes:
        claims: owners of this machine whose process is gone.
        lapsed: rows of work whose lease ran out, of whichever machine.
        documents: documents that were said to be processed, by nobody.
    """

    claims: int
    lapsed: int
    documents: int

    def __str__(self) -> str:
        return (
            f"Gave back the claims of {self.claims} processes that are gone, {self.lapsed} rows of work whose lease "
            f"ran out, {self.documents} documents that nobody processed."
        )


class StalledDetector:
    """Notices what is said to be good until far in the future, by a clock that was ahead, and is not renewed.

    Whose clock is wrong makes no difference: whoever lives says something new within a lease.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[float, float]] = {}

    def stalled(self, said: Mapping[str, float], lease_s: float) -> dict[str, float]:
        """Return those that have said the same for a lease; all others that are told of are listened to."""
        now, before = self._clock(), self._heard
        self._heard = {
            name: before[name] if name in before and before[name][0] == until else (until, now)
            for name, until in said.items()
        }
        return {name: until for name, (until, since) in self._heard.items() if now - since >= lease_s}


def fix_clock_skew(records: Records, now: float, first_hour: str) -> int:
    """Move what a clock that was ahead wrote to where this one can see it; return how many rows of work that were.

    Args:
        now: epoch seconds, as whoever asks for runs has them.
        first_hour: the first partition.
    """
    with records.begin() as connection:
        moved = leases.clamp_future_hours(connection, now, first_hour) + leases.clamp_future_delays(connection, now)
    if moved:
        log.warning(CLOCK_AHEAD, rows=moved, advice="Look at the clocks of the machines.")
    return moved


def reclaim_stalled(records: Records, silence: StalledDetector, now: float, lease_s: float) -> int:
    """Give back claims whose lease was written by a clock that was ahead, and that nobody has renewed for a lease."""
    with records.begin() as connection:
        far = claims.leases_beyond(connection, now + FAR_LEASES * lease_s)
        freed = claims.reclaim_stalled(connection, silence.stalled(far, lease_s))
    if freed:
        log.warning(CLAIMS_FREED, silent=freed)
    return freed


def reset_idle_documents(records: Records) -> int:
    """Show as pending what nobody works on at the moment; return how many documents that were."""
    with records.begin() as connection:
        return content.reset_idle_documents(connection)


def reclaim_abandoned(records: Records) -> Reclaimed:
    """Free the claims of processes that are gone or were not heard of for a lease, and the documents they had."""
    owners = reclaim_dead_leases(records)
    with records.begin() as connection:
        lapsed = claims.reclaim_expired(connection, time.time(), is_running)
        documents = content.reset_idle_documents(connection)
    if lapsed or documents:
        log.info(CLAIMS_FREED, lapsed=lapsed, documents=documents)
    return Reclaimed(owners, lapsed, documents)
