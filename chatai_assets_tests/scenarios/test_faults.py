"""The short forms of the scenarios; the long ones are commands."""

from random import SystemRandom

import pytest

from chatai_assets.domain import retry as retries
from chatai_assets_tests.scenarios import clocks, disk, drills, forget_kills, graph_kills, kills, machine
from chatai_assets_tests.scenarios import concurrency as crowd
from chatai_assets_tests.scenarios import frozen_worker as stopped
from chatai_assets_tests.scenarios import lost_acks as lossy
from chatai_assets_tests.support.bad_disk import TracerMissing
from chatai_assets_tests.support.servers import skip_without


@pytest.fixture(params=["embedded", "servers"])
def stores(request):
    return request.getfixturevalue("servers") if request.param == "servers" else {}


def test_workers_killed_at_random_moments_and_at_commits_leave_what_a_quiet_day_leaves(tmp_path, stores):
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    plan = kills.Plan(items=150, kills=3, boundary_kills=1, seed=seed, longest_delay_s=0.3, places=5)
    outcome = kills.run(tmp_path, plan, stores)
    assert outcome.unreached == {}
    assert outcome.deaths.total() == 8
    assert outcome.faults == []


def test_whoever_forgets_may_be_killed_anywhere(tmp_path):
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    outcome = forget_kills.run(tmp_path, seed, places=2)
    assert (outcome.deaths, outcome.faults) == (2, [])


def test_writers_of_the_graph_killed_at_random_moments_lose_nothing_confirmed(tmp_path):
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    outcome = graph_kills.run(tmp_path, kills=4, seed=seed, items=100)
    assert (outcome.deaths.total(), outcome.losses) == (4, [])


def test_two_workers_and_several_searches_at_once_end_as_one_alone(tmp_path, stores):
    plan = crowd.Plan(posts=300, documents=6, searchers=3, pause_s=0.05, projection_items=20)
    outcome = crowd.run(tmp_path, plan, stores)
    assert (outcome.faults, outcome.differences, outcome.loose_ends, outcome.twice) == ([], [], [], [])
    assert outcome.asked["tag"] == 306
    assert outcome.found >= 8, "searches come in between the turns of writers"


def test_a_search_by_command_works_while_a_worker_writes(tmp_path):
    outcome = crowd.run(tmp_path, crowd.Plan(posts=50, documents=2, searchers=1, workers=1, processes=True))
    assert (outcome.faults, outcome.differences) == ([], [])


@pytest.mark.parametrize("records", ["sqlite", "postgresql"])
def test_a_worker_that_was_stopped_past_its_lease_commits_nothing_of_it(tmp_path, records, request):
    servers = {"DATABASE_URL": request.getfixturevalue("database_url")} if records == "postgresql" else {}
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    outcome = stopped.run(tmp_path, stopped.Plan(rounds=2, seed=seed, posts=12, documents=2), servers)
    assert outcome.stopped.total() == 2
    assert (outcome.stale, outcome.faults) == (0, [])


def test_the_command_that_is_told_to_stop_gives_back_what_it_has(tmp_path):
    outcome = drills.run(tmp_path, ["chatai process"], rounds=1, seed=SystemRandom().randrange(10_000), posts=40)
    assert outcome.faults == []
    assert [stop.code for stop in outcome.stops] == [130, 130]
    assert outcome.unfinished == 0


def test_stores_and_providers_that_fail_at_one_call_in_ten_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_CALL_BACKOFF_S", 0.01)
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    outcome = lossy.run_all(tmp_path, items=40, rate=0.1, seed=seed, lease_s=1.0)
    assert (outcome.lost, outcome.twice) == ([], [])
    assert len(outcome.failed_runs) == 6
    assert outcome.providers.keys() == {"503", "lost_ack"}


def test_a_disk_that_is_full_or_fails_now_and_then_loses_nothing_and_blames_no_item(tmp_path):
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    with skip_without(TracerMissing):
        outcome = disk.run_all(tmp_path, items=30, faults=6, seed=seed)
    assert outcome.faults == []
    assert outcome.injected


def test_a_clock_that_jumps_two_hours_loses_nothing_and_lets_nothing_wait(tmp_path):
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    outcome = clocks.run_all(tmp_path, rounds=2, seed=seed, posts=20)
    assert outcome.faults == []
    assert outcome.seen["rows that were put right"]
    assert outcome.seen["items of machines that were lost with clocks ahead"]


def test_any_order_of_operations_and_crashes_ends_as_the_model_says(tmp_path):
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    assert machine.run(tmp_path, operations=400, seed=seed).total() >= 400
