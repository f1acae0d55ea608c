"""Errors keep the names under which they are stored, whatever their classes are called."""

import re
from collections.abc import Iterator

from chatai_assets.domain import errors
from chatai_assets.domain.errors import ChatAIError, UnreadableDocument, error_code
from chatai_assets.operations.dead_letters import DeadLetterNotFound
from chatai_assets.operations.entities import EntityNotFound
from chatai_assets.operations.reindexing import CannotReindex
from chatai_assets.operations.status import ItemNotFound

ELSEWHERE = {DeadLetterNotFound, EntityNotFound, CannotReindex, ItemNotFound}
"""Errors that are raised by one module alone live there."""

STORED = {
    "AnswerRejected": "InvalidModelResponse",
    "BudgetSpent": "AllBudgetsExceeded",
    "IndexMoved": "IndexSuperseded",
    "KeyRefused": "AuthenticationFailed",
    "NotAsked": "Deferred",
    "OverBudget": "BudgetExceeded",
    "PagesLeft": "OcrTimeBudgetExceeded",
    "ProjectionReplaced": "ProjectionMismatch",
    "TooLarge": "PayloadTooLarge",
}
"""Code -> class, where they differ; rows with these codes lie in stores of earlier releases."""


def subclasses(parent: type[ChatAIError]) -> Iterator[type[ChatAIError]]:
    """Yield a class and its subclasses in the product; other tests of this process may have their own."""
    if parent.__module__.startswith("chatai_assets."):
        yield parent
    for child in parent.__subclasses__():
        yield from subclasses(child)


def test_every_error_has_a_code_of_its_own():
    errors = [*subclasses(ChatAIError)]
    assert [error.__name__ for error in errors if "code" not in vars(error)] == []
    codes = [error.code for error in errors]
    assert len(codes) == len(set(codes))


def test_codes_of_renamed_classes_are_those_of_earlier_releases():
    renamed = {error.code: error.__name__ for error in subclasses(ChatAIError) if error.code != error.__name__}
    assert renamed == STORED


def test_files_are_counted_under_the_reason_why_they_cannot_be_read():
    error = UnreadableDocument("encrypted")
    assert (error_code(error), error.failure_class) == ("UnreadableDocument", "encrypted")


def test_exceptions_of_others_are_named_by_their_class():
    assert error_code(ZeroDivisionError()) == "ZeroDivisionError"


def test_the_drawn_tree_is_that_of_the_classes():
    drawn, path = [], list[str]()
    for branch, name in re.findall(r"^    (.*?)([A-Z]\w+)(?:  .*)?$", str(errors.__doc__), re.MULTILINE):
        path = [*path[: len(branch) // 4], name]
        drawn.append((name, path[-2] if len(path) > 1 else "Exception"))
    mine = {error for error in subclasses(ChatAIError) if error.__module__ == errors.__name__} | ELSEWHERE
    assert sorted(drawn) == sorted((error.__name__, error.__bases__[0].__name__) for error in mine)
