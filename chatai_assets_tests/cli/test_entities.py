"""``chatai entities`` on a home with one city that has two names; its JSON keys are an interface."""

import json

import pytest
from click.testing import CliRunner

from chatai_assets.cli.main import cli
from chatai_assets.operations.entities import EntityNotFound
from chatai_assets.services import Services
from chatai_assets_tests.support.pipeline import ingest_posts, message, migrated_settings, process_all


@pytest.fixture
def chatai(tmp_path):
    with Services(migrated_settings(tmp_path / "home")) as services:
        texts = ("Вчера там был город Москва.", "Today we saw the river in Moscow.")
        ingest_posts(services, [message(number, text) for number, text in enumerate(texts, 1)])
        process_all(services, stages=["parse", "enrich"])

    def run(*arguments):
        environment = {"CHATAI_HOME": str(tmp_path / "home"), "CHATAI_MODELS": "free"}
        result = CliRunner().invoke(cli, ["entities", *arguments], env=environment)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return run


def test_names_are_shown_set_and_taken_back(chatai):
    (city,) = json.loads(chatai("show", "Москва", "--json"))
    assert city.keys() == {"kind", "key", "name", "forms"}
    assert [form["form"] for form in city["forms"]] == ["moscow", "москва"]
    assert "known name" in chatai("show", "moscow")
    assert json.loads(chatai("split", "Moscow", "--kind", "other", "--note", "a club", "--json")) == {"items": 1}
    assert "a club" in chatai("show", "moscow")
    assert "1 posts and documents" in chatai("merge", "Москва", "Moscow", "--kind", "other")
    assert [form["form"] for form in json.loads(chatai("show", "Москва", "--json"))[0]["forms"]] == ["moscow", "москва"]
    assert json.loads(chatai("undo", "Moscow", "--kind", "other", "--json")) == {"items": 1}


def test_a_name_that_nobody_mentions_is_one_sentence(chatai):
    with pytest.raises(EntityNotFound, match="mentions 'Пермь'"):
        chatai("show", "Пермь")
    with pytest.raises(EntityNotFound, match="as person"):
        chatai("split", "Москва", "--kind", "person")
