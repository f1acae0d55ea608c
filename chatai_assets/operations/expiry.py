"""Erases expired items from all stores, batch by batch.

A sweep erases everything that had expired when it started. Its checkpoint (start time, counts) is written in the
transactions that mark and erase items, so an interrupted sweep resumes with its last batch and counts each item once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chatai_assets.domain.ids import STREAMS
from chatai_assets.observability import ITEMS_EXPIRED, log
from chatai_assets.operations.erasure import Stores, erase_from_projections
from chatai_assets.storage import tombstones
from chatai_assets.storage.engine import Transaction
from chatai_assets.storage.erasure import Erased
from chatai_assets.storage.key_values import delete_value, get_value, put_value
from chatai_assets.storage.tombstones import PendingErasures

CHECKPOINT = "expiry"
BATCH_ITEMS = 2_000


@dataclass(slots=True)
class ExpirySweep:
    """Progress of a sweep.

    Attributes:
        until: epoch seconds; items that expired later are left to the next sweep.
        counts: deleted rows, points and edges, by table or kind; includes ``posts`` and ``documents``.
        tenants: tenant -> erased items.
        resumed: how often it was resumed after an interruption.
        complete: whether all items that had expired are erased.
    """

    until: float
    counts: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    complete: bool = False

    @property
    def items(self) -> int:
        """How many items were erased."""
        return self.tenants.total()

    def add(self, erased: Erased) -> None:
        """Count what was erased."""
        self.counts.update(erased.counts)
        self.tenants.update(tenant_id for tenant_id, _ in erased.keys)

    @property
    def checkpoint(self) -> dict[str, Any]:
        """The state from which another process resumes."""
        return {
            "until": self.until,
            "counts": dict(self.counts),
            "tenants": dict(self.tenants),
            "resumed": self.resumed,
        }


def expire(
    stores: Stores,
    *,
    batch_items: int = BATCH_ITEMS,
    budget_s: float = float("inf"),
    clock: Callable[[], float] = time.time,
) -> ExpirySweep:
    """Erase expired items from all stores, and items that other processes have marked but not erased.

    Args:
        batch_items: items per transaction; embedded stores are locked while a batch is deleted.
        budget_s: seconds after which no further batch is started; the checkpoint stays for the next sweep.

    Raises:
        StoreUnavailable: a store cannot be written; the next sweep resumes.
    """
    started = time.monotonic()
    sweep = _load_or_start(stores, clock())
    while time.monotonic() - started < budget_s:
        batch = _next_batch(stores, sweep, batch_items, clock())
        if not batch:
            sweep.complete = True
            break
        erase_from_projections(
            stores, batch, now=clock(), then=lambda connection, erased: _save_progress(connection, sweep, erased)
        )
    if sweep.complete:
        with stores.records.begin() as connection:
            delete_value(connection, CHECKPOINT)
    log.info(ITEMS_EXPIRED, items=sweep.items, points=sweep.counts["points"], complete=sweep.complete)
    return sweep


def _load_or_start(stores: Stores, now: float) -> ExpirySweep:
    """Return the interrupted sweep, or a new one."""
    with stores.records.reading() as connection:
        stored = get_value(connection, CHECKPOINT)
    if not stored:
        return ExpirySweep(now)
    return ExpirySweep(stored["until"], Counter(stored["counts"]), Counter(stored["tenants"]), stored["resumed"] + 1)


def _next_batch(stores: Stores, sweep: ExpirySweep, limit: int, now: float) -> PendingErasures:
    """Return items that are marked but not erased; if there are none, mark the next expired ones."""
    with stores.records.begin() as connection:
        batch = tombstones.pending_erasures(connection, limit)
        for stream in () if batch else STREAMS:
            keys = tombstones.expired_keys(connection, stream, sweep.until, limit)
            if keys and tombstones.mark_for_erasure(connection, stream, keys, "expired", now=now, until=sweep.until):
                put_value(connection, CHECKPOINT, sweep.checkpoint)
                return tombstones.pending_erasures(connection, limit)
    return batch


def _save_progress(connection: Transaction, sweep: ExpirySweep, erased: Erased) -> None:
    sweep.add(erased)
    put_value(connection, CHECKPOINT, sweep.checkpoint)
