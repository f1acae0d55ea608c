"""What a failed stage means to Dagster; decided here and nowhere else.

=====================  ==========================================================================
what was raised        what becomes of the step
=====================  ==========================================================================
``StoreUnavailable``   tried again once after a few seconds, in the same run; then failed
any other ``Outage``   failed: asking again at once would not help
``DeadlineExceeded``     failed: what was claimed is given back
anything unforeseen    failed, with the class and the stack; the message may quote private text
=====================  ==========================================================================

A failed step fails its run. Runs are not retried by Dagster (``dagster.yaml``): the sensor asks
again, later each time.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import dataclass

import dagster as dg

from chatai_assets.domain.circuit_breaker import OpenBreaker
from chatai_assets.domain.errors import AllBudgetsExceeded, ChatAIError, StoreUnavailable, error_code
from chatai_assets.domain.ids import Stream
from chatai_assets.domain.stages import Stage
from chatai_assets.operations.outages import down_since
from chatai_assets.orchestration.watchdog.deadline import DeadlineExceeded
from chatai_assets.settings.values import InvalidSetting

STORE_RETRIES = 1
STORE_RETRY_DELAY_S = 3


@dataclass(frozen=True, slots=True)
class FailureContext:
    """Where a failure happened.

    Attributes:
        waiting: items that wait at this stage of the hour; None when the record store cannot say.
        retries: how often this step was tried again so far.
        down: the outage that it is part of, where one could be noted.
    """

    stream: Stream
    stage: Stage
    hour: str
    waiting: int | None
    retries: int
    down: OpenBreaker | None = None


def is_ours_to_explain(error: BaseException) -> bool:
    """Return whether an exception is a failure of the stage, not Dagster's own control flow or an interruption."""
    if isinstance(error, dg.Failure | dg.RetryRequested):
        return False
    return isinstance(error, Exception | DeadlineExceeded)


def is_tried_again(error: BaseException, retries: int) -> bool:
    """Return whether a step is retried in its run.

    Args:
        retries: how often it was so far.
    """
    return isinstance(error, StoreUnavailable) and retries < STORE_RETRIES


def failure_of(error: BaseException, place: FailureContext) -> dg.Failure | dg.RetryRequested:
    """Return what to raise towards Dagster instead of an error."""
    if is_tried_again(error, place.retries):
        return dg.RetryRequested(max_retries=STORE_RETRIES, seconds_to_wait=STORE_RETRY_DELAY_S)
    details = _details(error)
    if place.waiting is not None:
        details["items_waiting"] = dg.MetadataValue.int(place.waiting)
    return dg.Failure(sentence_of(error, place), details, allow_retries=False)


def report_unforeseen(error: BaseException, stage: str, sentry_dsn: str | None) -> None:
    """Report an unforeseen error to Sentry where it is set up; what is foreseen has its notifications.

    Args:
        stage: the stage or asset that failed.
        sentry_dsn: a project of Sentry; a wrong address is ignored, since it must not hide the error itself.
    """
    if not sentry_dsn or isinstance(error, ChatAIError | DeadlineExceeded):
        return
    from chatai_assets.adapters.sentry import Sentry

    with suppress(InvalidSetting):
        Sentry(sentry_dsn).report_error(error, stage)


def _details(error: BaseException) -> dict[str, dg.MetadataValue]:
    details: dict[str, dg.MetadataValue] = {"error_class": dg.MetadataValue.text(error_code(error))}
    if not isinstance(error, ChatAIError | DeadlineExceeded):
        stack = "".join(traceback.format_tb(error.__traceback__))
        details["stack"] = dg.MetadataValue.md(f"```\n{stack}\n```")
    return details


def failure_of_upkeep(error: BaseException, retries: int) -> dg.Failure | dg.RetryRequested:
    """Return what to raise towards Dagster instead of an error of an upkeep asset."""
    if is_tried_again(error, retries):
        return dg.RetryRequested(max_retries=STORE_RETRIES, seconds_to_wait=STORE_RETRY_DELAY_S)
    said = f"{_cause(error, 'asset')} What was done so far stays done; the next run of the schedule goes on from there."
    return dg.Failure(said, _details(error), allow_retries=False)


def sentence_of(error: BaseException, place: FailureContext) -> str:
    """Return what is wrong, how much waits for it, and what to do, in words for the person who watches the runs."""
    return (
        f"{_cause(error, down=place.down)} {_waits(place)} at the stage {place.stage!r} of {place.hour}; nothing is "
        f"lost and no attempt is used up. {_advice(error)}"
    )


def _waits(place: FailureContext) -> str:
    if place.waiting is None:
        return f"An unknown number of {place.stream} wait"
    return f"1 of the {place.stream} waits" if place.waiting == 1 else f"{place.waiting:,} {place.stream} wait"


def _cause(error: BaseException, what: str = "stage", down: OpenBreaker | None = None) -> str:
    if isinstance(error, ChatAIError | DeadlineExceeded):
        text = str(error).strip() or type(error).__name__
        said = f"{down_since(down)}: {text}" if down else text
        return said if said.endswith((".", "!", "?")) else f"{said}."
    return f"An unforeseen {type(error).__name__} stopped the {what}."


def _advice(error: BaseException) -> str:
    if isinstance(error, AllBudgetsExceeded):
        return "Other tenants go on; what waits goes on by itself."
    if isinstance(error, ChatAIError):
        return (
            "The sensor asks again by itself, later each time; once the cause is gone, materialize the hour to ask now."
        )
    if isinstance(error, DeadlineExceeded):
        return "The sensor asks again by itself; if it happens again, raise CHATAI_STAGE_DEADLINE_S or look at the log."
    return "The stack, in this failure's metadata, says where; the sensor asks again by itself, later each time."
