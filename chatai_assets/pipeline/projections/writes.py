"""Writing a projection so that it holds what the record store says and nothing else.

Intents are recorded in the ledger before the store is written, and confirmed afterwards. The store's lock is held
around the check of the claim, the intent and the write, so that a slow owner of an old revision is stopped before it
writes, and a newer one sees what the older intended. The same transaction checks that the store is the one the ledger
describes (``storage.projection_ledger``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from chatai_assets.domain.errors import ProjectionMismatch
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.projection_plan import LedgerEntry, Plan, plan_index
from chatai_assets.storage import leases as claims
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.projection_ledger import (
    NOTHING,
    Projection,
    confirm_generation,
    expected_generations,
    set_generations,
)
from chatai_assets.storage.tombstones import PendingErasures, still_pending

Desired = Mapping[ItemKey, Mapping[str, str]]
"""Item -> id -> fingerprint of what the projection shall hold of it."""


@dataclass(frozen=True, slots=True)
class PendingWrites:
    """What a batch must write, of the items that it still owns.

    Attributes:
        generation: what to write into the store after everything else; None when there is nothing to write.
    """

    plans: dict[ItemKey, Plan]
    generation: str | None = None

    @property
    def written(self) -> int:
        """How many ids are written."""
        return sum(len(plan.upserts) for plan in self.plans.values())

    @property
    def deleted(self) -> int:
        """How many ids are removed."""
        return sum(len(plan.deletes) for plan in self.plans.values())


def needs_writing(desired: Desired, recorded: Mapping[ItemKey, LedgerEntry]) -> bool:
    """Return whether any item differs from what the ledger surely knows; if none does, no lock is taken."""
    return any(not plan_index(wanted, recorded.get(key, NOTHING)).empty for key, wanted in desired.items())


def record_intent(
    records: Records,
    projection: Projection,
    owner: str,
    desired: Desired,
    found: str | None,
    check: Callable[[Transaction], None] = lambda _: None,
) -> PendingWrites:
    """Record the intents for the items that are still the owner's; the caller holds the projection's lock.

    Args:
        found: the generation of the store.
        check: raises where the projection is not to be written any more.

    Raises:
        ProjectionMismatch: the ledger describes another store.
    """

    def held(connection: Transaction) -> dict[ItemKey, LedgerEntry]:
        check(connection)
        mine = claims.still_owned(connection, owner)
        before = ledger.entries_of_claim(connection, owner, projection)
        return {key: before.get(key, NOTHING) for key in desired if key in mine}

    return _record_intent(records, projection, desired, found, held)


def record_delete_intent(
    records: Records, projection: Projection, items: PendingErasures, found: str | None
) -> PendingWrites:
    """Record the intent to delete everything of the items that are still being erased; see ``record_intent``."""

    def leaving(connection: Transaction) -> dict[ItemKey, LedgerEntry]:
        return ledger.find_entries(connection, still_pending(connection, items), projection)

    return _record_intent(records, projection, {key: {} for key in items}, found, leaving)


def _record_intent(
    records: Records,
    projection: Projection,
    desired: Desired,
    found: str | None,
    mine: Callable[[Transaction], Mapping[ItemKey, LedgerEntry]],
) -> PendingWrites:
    """Record intentions.

    Args:
        mine: which of the items may be changed, and what is recorded of them.
    """
    with records.begin() as connection:
        if found not in expected_generations(connection, projection):
            raise ProjectionMismatch(f"the store of the {projection} was lost, or another one has taken its place")
        known = mine(connection)
        plans = {key: plan_index(desired[key], before) for key, before in known.items()}
        changed = {key: plan for key, plan in plans.items() if not plan.empty}
        ledger.intend(connection, projection, {key: plan.intention for key, plan in changed.items()}, known)
        mark = uuid4().hex if changed else None
        if mark:
            set_generations(connection, projection, found, mark)
    return PendingWrites(changed, mark)


def confirm(connection: Transaction, projection: Projection, changes: PendingWrites, held: Desired) -> None:
    """Record that what was intended is in the store now, for the items that are still the owner's."""
    ledger.confirm(connection, projection, {key: held[key] for key in changes.plans if key in held})
    if changes.generation:
        confirm_generation(connection, projection, changes.generation)
