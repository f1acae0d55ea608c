"""Compares desired points and edges with recorded ones and plans upserts and deletes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNKNOWN = ""
"""Fingerprint of an id whose content is unknown; no content has it."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the ledger says a projection holds of one item.

    Attributes:
        intended: the ids (-> ``UNKNOWN``) that were about to be written or removed; it may or may not have happened.
        confirmed: id -> fingerprint of what surely arrived.
    """

    intended: Mapping[str, str]
    confirmed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What must happen to a projection for one item.

    Attributes:
        upserts: ids to write, in the order of the desired mapping.
        deletes: ids to remove, sorted.
    """

    upserts: tuple[str, ...]
    deletes: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether the projection already holds exactly what is desired."""
        return not (self.upserts or self.deletes)

    @property
    def intention(self) -> dict[str, str]:
        """What to record as intended before writing: every id that may change, as of unknown content.

        Not the desired fingerprints: when what was intended happens to be what was confirmed once (an id deleted by
        the revision between, an edit taken back), a kill before confirmation would make the id look sure.
        """
        return dict.fromkeys((*self.upserts, *self.deletes), UNKNOWN)


def plan_index(desired: Mapping[str, str], recorded: LedgerEntry) -> Plan:
    """Return the writes that make a projection hold ``desired`` and nothing else of this item.

    An id whose intention was never confirmed may hold anything: it is written again if it is
    desired, and deleted if it is not.

    Args:
        desired: id -> fingerprint of content.
        recorded: the ledger's word on this item.
    """
    unsure = {key for key, value in recorded.intended.items() if recorded.confirmed.get(key) != value}
    upserts = tuple(key for key, value in desired.items() if key in unsure or recorded.confirmed.get(key) != value)
    known = recorded.intended.keys() | recorded.confirmed.keys()
    return Plan(upserts=upserts, deletes=tuple(sorted(known - desired.keys())))
