"""Writing a projection so that it holds what the record store says and nothing else.

The ledger learns what is intended before the store is written and what is confirmed after. The
store's lock is held around "still mine?", the intention and the write, so that a slow owner of an
old revision finds out before it writes, and a newer one sees what the older intended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatai_assets.adapters.records import ledger, work
from chatai_assets.adapters.records.ledger import NOTHING, Projection
from chatai_assets.adapters.records.store import Records
from chatai_assets.adapters.records.work import Key
from chatai_assets.domain.index_plan import Plan, Recorded, intention, plan_index

Desired = Mapping[Key, Mapping[str, str]]
"""Item -> id -> fingerprint of what the projection shall hold of it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a batch must write, and of which items it is sure to be the owner."""

    plans: dict[Key, Plan]

    @property
    def written(self) -> int:
        """How many ids are written."""
        return sum(len(plan.upserts) for plan in self.plans.values())

    @property
    def deleted(self) -> int:
        """How many ids are removed."""
        return sum(len(plan.deletes) for plan in self.plans.values())


def needs_writing(desired: Desired, recorded: Mapping[Key, Recorded]) -> bool:
    """Return whether any item differs from what the ledger surely knows; if none does, no lock is taken."""
    return any(not plan_index(wanted, recorded.get(key, NOTHING)).empty for key, wanted in desired.items())


def announce(records: Records, projection: Projection, owner: str, desired: Desired) -> Changes:
    """Record the intentions of the items that are still the owner's; call it with the projection's lock held."""
    with records.begin() as connection:
        held = work.held(connection, owner)
        before = ledger.recorded(connection, owner, projection)
        mine = {key: wanted for key, wanted in desired.items() if key in held}
        known = {key: before.get(key, NOTHING) for key in mine}
        plans = {key: plan_index(wanted, known[key]) for key, wanted in mine.items()}
        changed = {key: plan for key, plan in plans.items() if not plan.empty}
        ledger.intend(connection, projection, {key: intention(mine[key], known[key]) for key in changed}, known)
    return Changes(changed)
