"""Recovers abandoned work: releases the claims of dead or stalled workers, and resets document status."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chatai_assets.observability import CLAIMS_FREED, CLOCK_AHEAD, log
from chatai_assets.pipeline.engine import reclaim_dead_leases
from chatai_assets.pipeline.worker_id import is_running
from chatai_assets.storage import items as content
from chatai_assets.storage import leases
from chatai_assets.storage.engine import Records

FAR_LEASES = 2
"""A lease that ends later than this many leases from now was written by a clock that is ahead."""


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """Result of ``reclaim_abandoned``.

    Attributes:
        claims: workers of this machine whose process is gone.
        lapsed: rows of work whose lease expired, of any machine.
        documents: documents that were shown as processing although no worker had them.
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
    """Detects leases that are not renewed although they end far in the future, written by a clock that was ahead.

    It does not depend on which clock is wrong: a live worker changes its lease within the lease time.

    Args:
        clock: monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, float]] = {}

    def stalled(self, leases: Mapping[str, float], lease_s: float) -> dict[str, float]:
        """Return the leases that have not changed for ``lease_s`` seconds, and remember all others.

        Args:
            leases: name -> end of the lease in epoch seconds.
        """
        now, before = self._clock(), self._seen
        self._seen = {
            name: before[name] if name in before and before[name][0] == until else (until, now)
            for name, until in leases.items()
        }
        return {name: until for name, (until, since) in self._seen.items() if now - since >= lease_s}


def fix_clock_skew(records: Records, now: float, first_hour: str) -> int:
    """Correct hours and delays in the future, written by a clock that was ahead; return how many rows that were.

    Args:
        now: epoch seconds, by the clock of the process that requests runs.
        first_hour: the first partition.
    """
    with records.begin() as connection:
        moved = leases.clamp_future_hours(connection, now, first_hour) + leases.clamp_future_delays(connection, now)
    if moved:
        log.warning(CLOCK_AHEAD, rows=moved, advice="Look at the clocks of the machines.")
    return moved


def reclaim_stalled(records: Records, detector: StalledDetector, now: float, lease_s: float) -> int:
    """Release claims whose lease ends far in the future and was not renewed; return how many."""
    with records.begin() as connection:
        far = leases.leases_beyond(connection, now + FAR_LEASES * lease_s)
        freed = leases.reclaim_stalled(connection, detector.stalled(far, lease_s))
    if freed:
        log.warning(CLAIMS_FREED, silent=freed)
    return freed


def reset_idle_documents(records: Records) -> int:
    """Show documents as pending that no worker has; return how many."""
    with records.begin() as connection:
        return content.reset_idle_documents(connection)


def reclaim_abandoned(records: Records) -> Reclaimed:
    """Release the claims of processes that are gone or did not renew their lease, and reset their documents."""
    owners = reclaim_dead_leases(records)
    with records.begin() as connection:
        lapsed = leases.reclaim_expired(connection, time.time(), is_running)
        documents = content.reset_idle_documents(connection)
    if lapsed or documents:
        log.info(CLAIMS_FREED, lapsed=lapsed, documents=documents)
    return Reclaimed(owners, lapsed, documents)
