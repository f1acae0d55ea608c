"""Dead letters and poison items: failures that are not recorded yet, and items whose processes die."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from chatai_assets.domain.errors import ChatAIError, MassFailure, ProcessKilled
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.stages import Stage
from chatai_assets.observability import DEAD_LETTER, log
from chatai_assets.storage import dead_letters
from chatai_assets.storage import items as content
from chatai_assets.storage.engine import Records
from chatai_assets.storage.leases import POISON_AFTER

SHOWN_FINGERPRINT = 12
"""Hex digits of a stage's fingerprint: enough to distinguish models and prompts."""


def code_version(stage_fingerprint: str) -> str:
    """Return under which code an item failed: the release, and with what the stage computes (model, prompt, code)."""
    return f"{_release()}+{stage_fingerprint[:SHOWN_FINGERPRINT]}"


@cache
def _release() -> str:
    try:
        return version("chatai-assets")
    except PackageNotFoundError:
        return "0"


def not_yet_recorded(records: Records, stage: Stage, failures: Mapping[ItemKey, ChatAIError]) -> list[ChatAIError]:
    """Return failures that have no open dead letter yet.

    Replays that fail again must not count towards a mass failure.
    """
    if not failures:
        return []
    with records.reading() as connection:
        known = dead_letters.open_failures(connection, stage, failures.keys())
    return [error for key, error in failures.items() if (*key, error.failure_class) not in known]


def log_failures(stage: Stage, run_id: str, failed: Mapping[ItemKey, ChatAIError]) -> None:
    """Log a line for each item that failed permanently."""
    for (tenant_id, source_key), error in failed.items():
        log.warning(
            DEAD_LETTER,
            stage=stage,
            tenant=tenant_id,
            source=source_key,
            run_id=run_id,
            error_class=error.failure_class,
        )


MAX_POISON_ITEMS_AN_HOUR = 10
"""Poison items of one stage; if there seem to be more, something else ends the processes."""
HOUR_S = 3_600


def poison_items(records: Records, owner: str, stage: Stage, now: float) -> dict[ItemKey, ProcessKilled]:
    """Return the items of a claim that must not be worked on again, for their processes were lost too often.

    Args:
        now: epoch seconds.

    Raises:
        MassFailure: so many were found within an hour that it cannot be the items.
    """
    with records.reading() as connection:
        suspects = [row for row in content.claimed_work(connection, owner) if row["losses"] >= POISON_AFTER]
        if not suspects:
            return {}
        lately = dead_letters.count_since(connection, stage, ProcessKilled.code, now - HOUR_S)
    if lately >= MAX_POISON_ITEMS_AN_HOUR:
        raise MassFailure(
            f"{lately} items in an hour seem to kill their process: something else ends the processes of this stage, "
            "too little memory perhaps, so no more are given up."
        )
    return {ItemKey.of(row): ProcessKilled(row["losses"]) for row in suspects}
