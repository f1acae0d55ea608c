"""The short form of the provider's outage; the long one is a command."""

import pytest

from chatai_assets_tests.scenarios import outage


@pytest.mark.daemon
@pytest.mark.timeout(600)  # most of it is waiting: for the daemon's ticks, and for the backoff
def test_a_provider_that_was_down_is_asked_again_without_a_click(tmp_path):
    outcome = outage.run(tmp_path, outage.Plan(seconds=15, posts=400))
    assert 100 <= outcome.tagged_before < 400
    assert outcome.attempts == 0
    for sentences in outcome.failed_runs:
        (sentence,) = sentences
        assert f"HTTP 503. {400 - outcome.tagged_before} posts wait at the stage 'tag'" in sentence
    assert 1 <= len(outcome.failed_runs) <= 2
    assert (outcome.good_runs >= 1, outcome.others) == (True, [])
    assert (dict(outcome.states), outcome.letters) == ({"done": 400 * 6}, 0)
