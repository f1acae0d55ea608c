"""Whether a failure is transient, permanent or an outage is decided in one place."""

import pytest

from chatai_assets.domain.errors import (
    BudgetExceeded,
    ChatAIError,
    ChildKilled,
    InvalidModelResponse,
    MassFailure,
    Outage,
    PermanentError,
    ProviderBusy,
    ProviderRejected,
    TransientError,
    UnexpectedFailure,
    UnreadableDocument,
)
from chatai_assets.domain.failure_policy import NextAttempt, check_mass_failure, is_outage, next_attempt
from chatai_assets.domain.retry import FIRST_ITEM_BACKOFF_S, Backoff


def test_a_transient_failure_is_permanent_once_its_attempts_are_used_up():
    busy = ProviderBusy("busy")
    assert next_attempt(busy, 1, 5) == NextAttempt(FIRST_ITEM_BACKOFF_S, counts_as_attempt=True)
    assert next_attempt(busy, 4, 5) == NextAttempt(8 * FIRST_ITEM_BACKOFF_S, counts_as_attempt=True)
    assert next_attempt(busy, 5, 5) is None


def test_a_stage_has_delays_of_its_own():
    assert next_attempt(ProviderBusy("busy"), 3, 5, Backoff(1.0, 3.0)) == NextAttempt(3.0, counts_as_attempt=True)


def test_an_error_may_allow_fewer_attempts_than_its_stage():
    assert next_attempt(ChildKilled("killed"), 2, 5)
    assert next_attempt(ChildKilled("killed"), 3, 5) is None


def test_what_was_never_tried_uses_up_no_attempt():
    assert next_attempt(BudgetExceeded("over", 60.0), 100, 5) == NextAttempt(60.0, counts_as_attempt=False)


@pytest.mark.parametrize("error", [ProviderRejected("no"), UnreadableDocument("empty"), ValueError()])
def test_other_failures_are_permanent(error):
    assert next_attempt(error, 1, 5) is None


def test_every_error_is_of_one_kind():
    kinds = (PermanentError, TransientError, Outage)
    found = [ChatAIError]
    for error in found:
        found += error.__subclasses__()
    assert [error for error in found if sum(issubclass(error, kind) for kind in kinds) > 1] == []
    assert is_outage(MassFailure())
    assert not is_outage(ProviderBusy("busy"))


@pytest.mark.parametrize("error", [ProviderRejected("no"), InvalidModelResponse("no"), UnexpectedFailure("no")])
def test_many_failures_alike_are_ours(error):
    with pytest.raises(MassFailure, match=f"30 of 100 items fail with {error.code}"):
        check_mass_failure([error] * 30, 100)


@pytest.mark.parametrize(
    ("failures", "size"),
    [
        pytest.param([UnreadableDocument("corrupt")] * 40, 40, id="forty corrupt files are forty bad files"),
        pytest.param([ProviderBusy("429")] * 40, 40, id="a busy provider quarantines nothing"),
        pytest.param([ProviderRejected("no")] * 10, 10, id="ten are few"),
        pytest.param([ProviderRejected("no")] * 20, 100, id="a fifth is few"),
        pytest.param(
            [ProviderRejected("no")] * 10 + [InvalidModelResponse("no")] * 10, 20, id="two classes count apart"
        ),
        pytest.param([], 0, id="nothing failed"),
    ],
)
def test_other_failures_stay_the_items_own(failures, size):
    check_mass_failure(failures, size)
