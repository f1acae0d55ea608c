"""The short forms of hours of 503 and of a wrong model name; the long ones are a command."""

from chatai_assets_tests.scenarios.long_outage import Outcome, Plan, long_outage, wrong_model


def seen(outcome: Outcome) -> list[str]:
    """Return what people were told, by title."""
    return [title.removeprefix("chatai_assets: ") for title, _ in outcome.told]


def assert_nothing_lost(outcome: Outcome) -> None:
    assert seen(outcome) == ["GigaChat is down", "GigaChat works again"]
    assert outcome.told_after_s <= 300
    assert outcome.caught_up_s is not None
    assert (list(outcome.states), outcome.attempts, outcome.letters) == (["done"], 0, 0)


def test_a_provider_that_is_down_costs_few_red_runs_and_is_announced_once(tmp_path):
    outcome = long_outage(tmp_path, Plan(hours=0.1, posts=12, documents=1))
    assert_nothing_lost(outcome)
    assert 1 <= outcome.red["posts"] <= 3
    assert 1 <= outcome.red["documents"] <= 3


def test_a_wrong_model_name_is_an_outage_and_buries_nobody(tmp_path):
    outcome = wrong_model(tmp_path, 30, hours=0.05)
    assert_nothing_lost(outcome)
    assert 1 <= outcome.red["posts"] <= 3
