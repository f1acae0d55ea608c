"""What a dead letter says: which item failed where, on which input, under which code, and why."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from chatai_assets.domain.errors import ChatAIError, MassFailure, ProcessKilled
from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.stages import Stage
from chatai_assets.domain.telegram.post import post_url_from_key
from chatai_assets.observability import DEAD_LETTER, log
from chatai_assets.storage import dead_letters
from chatai_assets.storage import items as content
from chatai_assets.storage.engine import Records, StoredRow, Transaction
from chatai_assets.storage.leases import POISON_AFTER

SHOWN_FINGERPRINT = 12
"""Hex digits of a stage's fingerprint: enough to tell models and prompts apart."""


def code_version(stage_fingerprint: str) -> str:
    """Return under which code an item failed: the release, and with what the stage computes (model, prompt, code)."""
    return f"{_release()}+{stage_fingerprint[:SHOWN_FINGERPRINT]}"


@cache
def _release() -> str:
    try:
        return version("chatai-assets")
    except PackageNotFoundError:
        return "0"


def build_dead_letters(
    connection: Transaction,
    stream: Stream,
    stage: Stage,
    run_id: str,
    code: str,
    failed: Mapping[ItemKey, tuple[StoredRow, ChatAIError, str | None]],
) -> list[dict[str, Any]]:
    """Return dead letters as ``dead_letters.bury`` takes them.

    Args:
        code: see ``code_version``.
        failed: item -> its row of work, its error, and where in our code it happened.
    """
    labels = content.content_hashes_and_urls(connection, stream, failed.keys())
    return [
        {
            "tenant_id": key.tenant_id,
            "queue_name": stream,
            "job_name": stage,
            "job_id": f"{key.source_key}@{row['seq']}",
            "job_data": {"source": key.source_key, "seq": row["seq"], "hour": row["hour"], "run_id": run_id},
            "source_key": key.source_key,
            "error_class": error.failure_class,
            "error_message": str(error),
            "error_stack": stack,
            "attempts": max(row["attempts"] + 1, row["losses"]),
            "input_fingerprint": labels[key][0] if key in labels else None,
            "code_version": code,
            "url": (labels[key][1] if key in labels else None) or post_url_from_key(key.source_key),
        }
        for key, (row, error, stack) in failed.items()
    ]


def not_yet_recorded(records: Records, stage: Stage, failures: Mapping[ItemKey, ChatAIError]) -> list[ChatAIError]:
    """Return the failures that no open letter tells of: a replay that fails again is no flood."""
    if not failures:
        return []
    with records.reading() as connection:
        known = dead_letters.open_failures(connection, stage, failures.keys())
    return [error for key, error in failures.items() if (*key, error.failure_class) not in known]


def log_failures(stage: Stage, run_id: str, failed: Mapping[ItemKey, ChatAIError]) -> None:
    """Write a line for each item that was given up."""
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
"""Killers of one stage; if there seem to be more, something else ends the processes."""
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
