"""The short forms of the scenarios; the long ones are commands."""

from random import SystemRandom

import pytest

from chatai_assets_tests.scenarios import crowd, kills


@pytest.fixture(params=["embedded", "servers"])
def stores(request):
    return request.getfixturevalue("servers") if request.param == "servers" else {}


def test_workers_killed_at_random_moments_leave_what_a_quiet_day_leaves(tmp_path, stores):
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    outcome = kills.run(tmp_path, kills.Plan(posts=300, documents=6, kills=4, seed=seed, longest_delay_s=0.15), stores)
    assert len(outcome.deaths) == 4
    assert (outcome.differences, outcome.loose_ends) == ([], [])


def test_two_workers_and_several_searches_at_once_end_as_one_alone(tmp_path, stores):
    outcome = crowd.run(tmp_path, crowd.Plan(posts=300, documents=6, searchers=3), stores)
    assert (outcome.faults, outcome.differences, outcome.loose_ends, outcome.twice) == ([], [], [], [])
    assert outcome.asked["tag"] == 306
    waits = sorted(outcome.searches_s)
    assert waits[len(waits) * 9 // 10] < 1.5


def test_a_search_by_command_works_while_a_worker_writes(tmp_path):
    outcome = crowd.run(tmp_path, crowd.Plan(posts=50, documents=2, searchers=1, workers=1, processes=True))
    assert (outcome.faults, outcome.differences) == ([], [])
