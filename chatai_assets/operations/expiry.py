"""Items whose time is over leave all stores, batch by batch, from where the last sweep was stopped.

A sweep takes all that had expired when it began. Its checkpoint (when that was, what went so far) is written in the
transactions that condemn and erase, so a killed sweep goes on with what was in hand and counts each item once.
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
    """What went in a sweep.

    Attributes:
        until: epoch seconds; what expired later is left to the next sweep.
        counts: rows, points and edges that were removed, by table or kind; ``posts`` and ``documents`` among them.
        tenants: tenant -> items.
        resumed: how often it went on after it had been stopped.
        complete: whether all that had expired is gone.
    """

    until: float
    counts: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    complete: bool = False

    @property
    def items(self) -> int:
        """How many items left."""
        return self.tenants.total()

    def add(self, erased: Erased) -> None:
        """Count what was erased."""
        self.counts.update(erased.counts)
        self.tenants.update(tenant_id for tenant_id, _ in erased.keys)

    @property
    def checkpoint(self) -> dict[str, Any]:
        """What another process goes on from."""
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
    """Remove what has expired from all stores, and what other processes condemned and did not come to erase.

    Args:
        batch_items: items of one transaction; embedded stores are held as long as it takes to remove so many.
        budget_s: seconds after which no further batch is begun; the checkpoint stays for the next sweep.

    Raises:
        StoreUnavailable: a store cannot be written; nothing is lost, the next sweep goes on.
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
    """Return the sweep that was stopped, or a new one."""
    with stores.records.reading() as connection:
        told = get_value(connection, CHECKPOINT)
    if not told:
        return ExpirySweep(now)
    return ExpirySweep(told["until"], Counter(told["counts"]), Counter(told["tenants"]), told["resumed"] + 1)


def _next_batch(stores: Stores, sweep: ExpirySweep, limit: int, now: float) -> PendingErasures:
    """Return what is condemned and not erased; where there is nothing, condemn what is next."""
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
