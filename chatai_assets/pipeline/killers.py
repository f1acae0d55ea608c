"""Items that kill the process that works on them: found by what was in hand each time, and given up alone."""

from __future__ import annotations

from chatai_assets.domain.errors import MassFailure, ProcessKilled
from chatai_assets.domain.ids import Stage
from chatai_assets.storage import dead_letters
from chatai_assets.storage import items as content
from chatai_assets.storage.engine import Records
from chatai_assets.storage.leases import KILLER_AFTER
from chatai_assets.storage.work_queue import Key

MOST_AN_HOUR = 10
"""Killers of one stage; if there seem to be more, something else ends the processes."""
HOUR_S = 3_600


def killers_of(records: Records, owner: str, stage: Stage, now: float) -> dict[Key, ProcessKilled]:
    """Return the items of a claim that must not be worked on again, for their processes were lost too often.

    Args:
        now: epoch seconds.

    Raises:
        MassFailure: so many were found within an hour that it cannot be the items.
    """
    with records.reading() as connection:
        suspects = [row for row in content.claimed_work(connection, owner) if row["losses"] >= KILLER_AFTER]
        if not suspects:
            return {}
        lately = dead_letters.count_since(connection, stage, ProcessKilled.__name__, now - HOUR_S)
    if lately >= MOST_AN_HOUR:
        raise MassFailure(
            f"{lately} items in an hour seem to kill their process: something else ends the processes of this stage, "
            "too little memory perhaps, so no more are given up."
        )
    return {(row["tenant_id"], row["source_key"]): ProcessKilled(row["losses"]) for row in suspects}
