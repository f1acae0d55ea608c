from dataclasses import replace

import dagster as dg
import pytest

from chatai_assets.domain.circuit_breaker import OpenBreaker
from chatai_assets.domain.errors import MassFailure, PaymentRequired, StoreUnavailable
from chatai_assets.orchestration.failures import FailureContext, failure_of, is_ours_to_explain
from chatai_assets.orchestration.watchdog.deadline import DeadlineExceeded

PLACE = FailureContext("posts", "tag", "2026-11-21-22:00", waiting=1_234, retries=0)


def test_a_store_that_is_down_is_asked_once_more():
    assert isinstance(failure_of(StoreUnavailable("Down."), PLACE), dg.RetryRequested)


def test_a_store_that_stays_down_fails_the_run_with_what_waits_and_what_to_do():
    failure = failure_of(
        StoreUnavailable("The graph cannot be opened."), FailureContext("posts", "link", "h", 7, retries=1)
    )
    assert isinstance(failure, dg.Failure)
    assert failure.description is not None
    assert failure.description.startswith("The graph cannot be opened. 7 posts wait at the stage 'link' of h;")
    assert failure.allow_retries is False


@pytest.mark.parametrize(
    "error", [PaymentRequired("Pay first."), MassFailure("All alike."), DeadlineExceeded("Too long.")]
)
def test_other_outages_are_not_asked_again_at_once(error):
    failure = failure_of(error, PLACE)
    assert isinstance(failure, dg.Failure)
    assert failure.allow_retries is False
    assert "1,234 posts wait" in str(failure.description)


def test_an_outage_says_what_is_down_and_since_when():
    down = OpenBreaker(1, "gigachat", since=1_790_000_000.0, reason="Pay first.", affected=("posts/tag",))
    failure = failure_of(PaymentRequired("Pay first."), replace(PLACE, waiting=1, down=down))
    assert isinstance(failure, dg.Failure)
    assert str(failure.description).startswith(
        "GigaChat is down since 2026-09-21 14:13 UTC: Pay first. 1 of the posts waits at the stage 'tag' of"
    )


def test_what_nobody_foresaw_is_named_without_its_message():
    with pytest.raises(ValueError, match="Секретный") as caught:
        int("Секретный текст поста")
    failure = failure_of(caught.value, PLACE)
    assert isinstance(failure, dg.Failure)
    assert "ValueError" in str(failure.description)
    shown = f"{failure.description} {failure.metadata}"
    assert "invalid literal" not in shown
    assert "test_failures.py" in shown


def test_interruptions_and_failures_of_dagster_are_left_alone():
    assert not is_ours_to_explain(KeyboardInterrupt())
    assert not is_ours_to_explain(dg.Failure("said already"))
    assert is_ours_to_explain(DeadlineExceeded())
