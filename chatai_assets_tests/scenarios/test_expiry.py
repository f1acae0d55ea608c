"""The short form of ``expiry``; the long one is a command."""

from random import SystemRandom

import pytest

from chatai_assets_tests.scenarios import expiry


@pytest.mark.parametrize("kind", ["embedded", "servers"])
def test_posts_that_expire_leave_once_however_often_their_removal_is_killed(tmp_path, request, kind):
    servers = request.getfixturevalue("servers") if kind == "servers" else {}
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    outcome = expiry.run(tmp_path, expiry.Plan(posts=150, kills=2, seed=seed, rest=20, batch_items=15), servers)
    assert len(outcome.kills) == 2
    assert (outcome.twice, outcome.faults) == (0, [])
    assert outcome.removed == 150 - outcome.saved
