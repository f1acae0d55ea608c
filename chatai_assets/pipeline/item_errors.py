"""Isolates the failure of one item from the other items of its batch."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from chatai_assets.domain.documents import sentence
from chatai_assets.domain.errors import ChatAIError, UnexpectedFailure, UnreadableDocument
from chatai_assets.domain.failure_policy import is_outage
from chatai_assets.domain.ids import ItemKey
from chatai_assets.pipeline.engine import BatchResult
from chatai_assets.storage import items as content
from chatai_assets.storage.engine import Transaction

T = TypeVar("T")
Question = TypeVar("Question")

UNFORESEEN = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
)
"""What code raises that meets an input it was not made for; signals, exits and lack of memory are not among them."""


def attempt(compute: Callable[[], T], key: ItemKey, result: BatchResult) -> T | None:
    """Compute one item; an error becomes its failure and does not stop the other items.

    Raises:
        Outage: what all items need is down.
    """
    try:
        return compute()
    except (ChatAIError, *UNFORESEEN) as error:
        note_failure(error, key, result)
        return None


def answers_to(
    ask: Callable[[Sequence[Question]], Sequence[T | ChatAIError]], questions: Sequence[Question]
) -> list[T | Exception]:
    """Ask all at once, and one by one if that raises an unforeseen exception; return answers or errors, in order.

    Raises:
        Outage: what all questions need is down.
        Exception: an unforeseen one, raised for each of several questions: the items are not to blame then.
    """
    if not questions:
        return []
    try:
        return list(ask(questions))
    except UNFORESEEN:
        answers = [_answer(ask, question) for question in questions]
        if len(answers) > 1 and all(isinstance(answer, UNFORESEEN) for answer in answers):
            raise
        return answers


def _answer(ask: Callable[[Sequence[Question]], Sequence[T | ChatAIError]], question: Question) -> T | Exception:
    try:
        return ask([question])[0]
    except UNFORESEEN as error:
        return error


def note_failure(error: Exception, key: ItemKey, result: BatchResult) -> None:
    """Record the error of an item; an ``Outage`` is raised, since it concerns all items."""
    if is_outage(error):
        raise error
    if isinstance(error, ChatAIError):
        result.failures[key] = error
        return
    # The message may quote private text: only the class and the place go into the dead letter.
    result.failures[key] = UnexpectedFailure(f"An unforeseen {type(error).__name__}; the stack says where.")
    result.tracebacks[key] = "".join(traceback.format_tb(error.__traceback__))


INTERNAL = "internal"
"""Code of failures that are not the file's."""


def fail_documents(connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
    """Set status ``failed`` with a stable code and a sentence in Russian and English."""
    rows = []
    for (tenant_id, source_key), error in failures.items():
        code = error.reason if isinstance(error, UnreadableDocument) else INTERNAL
        rows.append(
            {
                "tenant_id": tenant_id,
                "source_key": source_key,
                "status": "failed",
                "error_code": code,
                "error": f"{sentence(code, 'ru')} / {sentence(code, 'en')}",
                "chunks_count": 0,
            }
        )
    content.write_items(connection, "documents", rows)
