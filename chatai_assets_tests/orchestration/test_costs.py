"""What the UI shows of costs, and how runs and sensors treat a tenant whose budget is spent."""

import time
from typing import Any

import dagster as dg
import pytest

from chatai_assets.domain.ids import hour_of
from chatai_assets.orchestration.build import build_defs
from chatai_assets.storage import schema
from chatai_assets_tests.orchestration.conftest import HOUR_S, Home
from chatai_assets_tests.support.providers.home import open_services_at
from chatai_assets_tests.support.providers.server import provider_server


@pytest.fixture
def server():
    with provider_server() as running:
        yield running


@pytest.fixture
def asking(server, tmp_path):
    """Return a home whose tags are asked for, with more variables."""
    opened: list[Any] = []

    def home(**variables):
        first = hour_of(time.time() - 5 * HOUR_S)
        usual = {"CHATAI_EMBEDDER": "free", "CHATAI_EXTRACTOR": "free", "CHATAI_FIRST_HOUR": first}
        services = open_services_at(server, tmp_path / "home", **usual, **variables)
        instance = dg.DagsterInstance.ephemeral()
        opened.extend((services, instance))
        (tmp_path / "files").mkdir(exist_ok=True)
        return Home(services, instance.__enter__(), tmp_path / "files")

    yield home
    for each in reversed(opened):
        each.__exit__(None, None, None)


def test_tokens_money_and_hits_of_a_run_are_numbers_in_the_ui(asking, server):
    home = asking(CHATAI_PRICES="GigaChat=100")
    home.posts(range(1, 5))
    assert home.run("posts", home.hour()).failure is None
    shown = home.metadata("posts", "tagged")
    assert (shown["run_provider_calls"], shown["run_provider_tokens"]) == (4, 80)
    assert shown["run_provider_money"] == pytest.approx(0.008)
    assert (shown["run_misses"], shown["run_memory_hits"], shown["run_store_hits"]) == (4, 0, 0)
    paid = server.counts()["paid"]
    with home.records.begin() as connection:
        connection.execute(schema.work.update().where(schema.work.c.stage == "tag").values(state="pending"))
    assert home.run("posts", home.hour()).failure is None
    again = home.metadata("posts", "tagged")
    assert (again["run_provider_calls"], again["run_memory_hits"], again["run_misses"]) == (0, 4, 0)
    assert (again["hour_calls"], again["hour_tokens"], again["hour_hits"], again["hour_kept_answers"]) == (4, 80, 4, 4)
    assert again["hour_money"] == pytest.approx(0.008)
    assert server.counts()["paid"] == paid


def test_where_no_price_is_known_no_money_is_shown(asking):
    home = asking()
    home.posts(range(1, 3))
    home.run("posts", home.hour())
    shown = home.metadata("posts", "tagged")
    assert not {"run_provider_money", "hour_money"} & shown.keys()
    assert shown["hour_unpriced_tokens"] == 40


def tick(home):
    """Evaluate the sensor of posts as the daemon does."""
    sensor = home.defs.resolve_sensor_def("posts_due")
    return sensor.evaluate_tick(dg.build_sensor_context(instance=home.instance, definitions=home.defs))


def raise_budget(home, tokens):
    """Have the definitions made anew, as after a restart with another setting."""
    costs = home.services.settings.costs.replace(budget_tokens_day=tokens)
    home.defs = build_defs(home.services.settings.replace(costs=costs), services=home.services)


def test_a_spent_budget_fails_the_run_by_name_and_the_sensor_waits_until_it_is_raised(asking, server):
    home = asking(CHATAI_BUDGET_TOKENS_DAY="60", JOB_CONCURRENCY="1")
    home.posts(range(1, 4), tenant="acme")
    assert home.run("posts", home.hour()).failure is None
    home.posts(range(11, 14), tenant="acme")
    outcome = home.run("posts", home.hour())
    assert "The tenant 'acme' has spent 60 of 60 tokens" in str(outcome.failure)
    assert "CHATAI_BUDGET_TOKENS_DAY is raised" in str(outcome.failure)
    (failed,) = [
        event
        for event in home.instance.all_logs(outcome.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        if event.dagster_event and event.dagster_event.step_key == "posts__tagged"
    ]
    assert failed.dagster_event.step_failure_data.user_failure_data.metadata["error_class"].text == "BudgetSpent"
    assert home.states("posts")["searchable"] == 6  # tags are no condition
    waiting = tick(home)
    assert not waiting.run_requests
    assert "3 tasks of acme wait for the budget of the next day" in str(waiting.skip_message)

    home.posts(range(21, 23), tenant="other")
    assert home.run("posts", home.hour()).failure is None
    assert server.counts()["paid"] == 5
    raise_budget(home, 1_000)
    assert [request.partition_key for request in tick(home).run_requests] == [home.hour()]
