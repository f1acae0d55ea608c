from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.retry import FIRST_ITEM_BACKOFF_S, MAX_ITEM_BACKOFF_S, item_backoff_s


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
