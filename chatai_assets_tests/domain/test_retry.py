import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.errors import (
    InvalidModelResponse,
    MassFailure,
    ProviderBusy,
    ProviderRejected,
    UnexpectedFailure,
    UnreadableDocument,
)
from chatai_assets.domain.retry import (
    FIRST_ITEM_BACKOFF_S,
    MAX_ITEM_BACKOFF_S,
    check_mass_failure,
    item_backoff_s,
)


def test_delays_double_and_end_somewhere():
    assert [item_backoff_s(attempts) for attempts in (1, 2, 3)] == [
        FIRST_ITEM_BACKOFF_S,
        2 * FIRST_ITEM_BACKOFF_S,
        4 * FIRST_ITEM_BACKOFF_S,
    ]
    assert item_backoff_s(1_000) == MAX_ITEM_BACKOFF_S


@given(st.integers(1, 10_000), st.none() | st.floats(0, 1e6))
def test_nobody_is_asked_again_sooner_than_it_said(attempts, retry_after):
    assert item_backoff_s(attempts, retry_after) >= max(FIRST_ITEM_BACKOFF_S, retry_after or 0)


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
