import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.errors import AnswerRejected, MassFailure, ProviderBusy, ProviderRejected, UnreadableDocument
from chatai_assets.domain.retry import (
    FIRST_DELAY_S,
    LONGEST_DELAY_S,
    UnexpectedFailure,
    guard_against_mass_failure,
    retry_delay,
)


def test_delays_double_and_end_somewhere():
    assert [retry_delay(attempts) for attempts in (1, 2, 3)] == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S]
    assert retry_delay(1_000) == LONGEST_DELAY_S


@given(st.integers(1, 10_000), st.none() | st.floats(0, 1e6))
def test_nobody_is_asked_again_sooner_than_it_said(attempts, retry_after):
    assert retry_delay(attempts, retry_after) >= max(FIRST_DELAY_S, retry_after or 0)


@pytest.mark.parametrize("error", [ProviderRejected("no"), AnswerRejected("no"), UnexpectedFailure("no")])
def test_many_failures_alike_are_ours(error):
    with pytest.raises(MassFailure, match=f"30 of 100 items fail with {type(error).__name__}"):
        guard_against_mass_failure([error] * 30, 100)


@pytest.mark.parametrize(
    ("failures", "size"),
    [
        pytest.param([UnreadableDocument("corrupt")] * 40, 40, id="forty corrupt files are forty bad files"),
        pytest.param([ProviderBusy("429")] * 40, 40, id="a busy provider quarantines nothing"),
        pytest.param([ProviderRejected("no")] * 10, 10, id="ten are few"),
        pytest.param([ProviderRejected("no")] * 20, 100, id="a fifth is few"),
        pytest.param([ProviderRejected("no")] * 10 + [AnswerRejected("no")] * 10, 20, id="two classes count apart"),
        pytest.param([], 0, id="nothing failed"),
    ],
)
def test_other_failures_stay_the_items_own(failures, size):
    guard_against_mass_failure(failures, size)
