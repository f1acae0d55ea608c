"""Replays dead letters: their items become pending again at the stage where they failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chatai_assets.domain.errors import OperationRefused
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.stages import Stage
from chatai_assets.storage import dead_letters
from chatai_assets.storage import items as content
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.batch_commit import DONE_NOTE
from chatai_assets.storage.dead_letters import DeadLetterFilter, DeadLetterRow
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.work_queue import WorkRow

BATCH_LETTERS = 500
SUPERSEDED_NOTE = "a newer revision took the place of this one"
NOT_PENDING_NOTE = "the item is no longer there, or an earlier stage does it again"
ReplayOutcome = Literal["replayed", "waiting", "closed"]


class DeadLetterNotFound(OperationRefused):
    """There is no dead letter of this id."""

    code = "DeadLetterNotFound"

    def __init__(self, letter_id: int) -> None:
        super().__init__(f"There is no dead letter {letter_id}: `chatai dead-letters list --all` shows what there is.")


@dataclass(slots=True)
class ReplayResult:
    """Result of a replay.

    Attributes:
        replayed: items that are pending again.
        waiting: items that were pending or in progress already.
        closed: dead letters with nothing left to do; they are resolved with a note that says why.
        by_class: error class -> items that are pending again.
        dry_run: whether the result was only computed.
    """

    replayed: int = 0
    waiting: int = 0
    closed: int = 0
    by_class: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False

    def count(self, error_class: str, outcome: ReplayOutcome) -> None:
        """Count the outcome of one dead letter."""
        match outcome:
            case "replayed":
                self.replayed += 1
                self.by_class[error_class] = self.by_class.get(error_class, 0) + 1
            case "waiting":
                self.waiting += 1
            case "closed":
                self.closed += 1


def replay(
    records: Records, choice: DeadLetterFilter, *, dry_run: bool = False, clock: Callable[[], float] = time.time
) -> ReplayResult:
    """Make the items of open dead letters pending again with no attempts used; idempotent.

    A dead letter stays open until its stage succeeds.

    Raises:
        DeadLetterNotFound: there is no dead letter with one of the ids.
    """
    with records.reading() as connection:
        _check_ids(connection, choice.ids)
        ids = dead_letters.ids_of(connection, choice)
    report = ReplayResult(dry_run=dry_run)
    for start in range(0, len(ids), BATCH_LETTERS):
        some = DeadLetterFilter(ids=ids[start : start + BATCH_LETTERS])
        with records.reading() if dry_run else records.begin() as connection:
            _replay_some(connection, dead_letters.list_dead_letters(connection, some), report, clock())
    return report


def resolve(records: Records, letter_id: int, note: str) -> bool:
    """Close a dead letter by hand; return whether it was open. An existing note is not replaced.

    Raises:
        DeadLetterNotFound: there is no dead letter with this id.
    """
    with records.begin() as connection:
        _check_ids(connection, [letter_id])
        return dead_letters.resolve(connection, [letter_id], note) > 0


def _check_ids(connection: Transaction, ids: Sequence[int]) -> None:
    known = set(dead_letters.ids_of(connection, DeadLetterFilter(ids=ids, resolved=None))) if ids else set()
    missing = sorted(set(ids) - known)
    if missing:
        raise DeadLetterNotFound(missing[0])


def _replay_some(connection: Transaction, letters: Sequence[DeadLetterRow], report: ReplayResult, now: float) -> None:
    for stage in sorted({letter["stage"] for letter in letters}):
        mine = [letter for letter in letters if letter["stage"] == stage]
        rows = work.find_rows(connection, stage, [_item(letter) for letter in mine])
        decisions = [(letter, *_decide(letter, rows.get(_item(letter)))) for letter in mine]
        for letter, outcome, _ in decisions:
            report.count(letter["error_class"], outcome)
        if not report.dry_run:
            _requeue(connection, stage, [letter for letter, outcome, _ in decisions if outcome == "replayed"], now)
            for letter, _, note in decisions:
                if note:
                    dead_letters.resolve(connection, [letter["id"]], note)


def _item(letter: DeadLetterRow) -> ItemKey:
    return ItemKey(letter["tenant_id"], letter["source"])


def _decide(letter: DeadLetterRow, row: WorkRow | None) -> tuple[ReplayOutcome, str | None]:
    """Return the outcome of a dead letter, given its item's row of work, and the note if it is closed."""
    if row is None:
        return "closed", NOT_PENDING_NOTE
    if row["seq"] != letter["seq"]:
        return "closed", SUPERSEDED_NOTE
    if row["state"] == "done":
        return "closed", DONE_NOTE
    return ("replayed", None) if row["state"] == "failed" else ("waiting", None)


def _requeue(connection: Transaction, stage: Stage, letters: Sequence[DeadLetterRow], now: float) -> None:
    keys = [_item(letter) for letter in letters]
    work.requeue(connection, stage, keys, now=now)
    content.reset_failed(connection, keys)
