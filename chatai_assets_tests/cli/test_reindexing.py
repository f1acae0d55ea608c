"""``chatai reindex`` and ``chatai stale``: what they say, their exit codes, and JSON whose keys are an interface."""

import json

import pytest
from click.testing import CliRunner

from chatai_assets.adapters.vectors.collection import LAYOUTS
from chatai_assets.cli.main import cli
from chatai_assets.services import Services
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.pipeline import ingest_posts, migrated_settings, process_all


@pytest.fixture
def home(tmp_path):
    with Services(migrated_settings(tmp_path / "home")) as services:
        ingest_posts(services, corpus.posts(3, 20))
        process_all(services)
    return tmp_path / "home"


def chatai(home, *arguments):
    environment = {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free"}
    return CliRunner().invoke(cli, arguments, env=environment)


def serving(home):
    indexes = json.loads(chatai(home, "status", "--json").stdout)["indexes"]
    return {index["state"]: index["embedder"] for index in indexes}


def test_another_model_serves_and_the_way_back_works(home):
    done = chatai(home, "reindex", "--to", "free:512", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["serves"], told["items"], told["dimensions"], told["failed"]) == (True, 20, 512, 0)
    assert told["retrieval"]["after"]["meaning alone"]["recall_at_10"] > 0.9
    assert serving(home) == {"serving": "free:512", "kept": "free"}
    assert "Vector index 2, by free:512: serving." in chatai(home, "status").stdout
    back = chatai(home, "reindex", "--back")
    assert "free serves now; the index that served before is kept" in back.stdout, back.stderr
    assert chatai(home, "reindex", "--drop-old").stdout == "The index of free:512 is dropped.\n"
    assert serving(home) == {"serving": "free"}
    assert json.loads(chatai(home, "audit", "--json").stdout)[0]["agrees"]


def test_a_newer_layout_is_named_until_a_rebuild_serves_it(home, monkeypatch):
    monkeypatch.setitem(LAYOUTS, 2, LAYOUTS[1])
    advice = "The vector index of free has layout 1, and layout 2 is available: `chatai reindex --rebuild`."
    assert advice in chatai(home, "status").stdout
    (vectors,) = [part for part in json.loads(chatai(home, "doctor", "--json").stdout) if part["part"] == "vectors"]
    assert vectors["said"] == advice
    done = chatai(home, "reindex", "--rebuild", "--json")
    assert done.exit_code == 0, done.stderr
    assert (json.loads(done.stdout)["serves"], json.loads(done.stdout)["texts_embedded"]) == (True, 0)
    assert serving(home) == {"serving": "free", "kept": "free"}
    assert advice not in chatai(home, "status").stdout
    assert chatai(home, "reindex", "--back").exit_code == 0
    assert advice in chatai(home, "status").stdout


def test_a_bad_model_ends_in_code_one_and_a_sentence(home):
    done = chatai(home, "reindex", "--to", "free:2")
    assert done.exit_code == 1
    assert "free:2 does not serve: " in done.stderr
    assert "`chatai reindex --even-if-worse` lets it, `--give-up` drops it." in done.stderr
    assert serving(home) == {"serving": "free", "filling": "free:2"}
    assert chatai(home, "reindex", "--even-if-worse").exit_code == 0
    assert serving(home) == {"serving": "free:2", "kept": "free"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "No index is being filled: say by which model one shall be, with --to."),
        (["--to", "free"], "free serves already."),
        (["--to", "bert"], "'bert' names no embedder"),
        (["--to", "gigachat"], "GIGACHAT_API_KEY is not set"),
        (["--back"], "No index is kept that served before."),
        (["--back", "--drop-old"], "Ask for one thing"),
        (["--rebuild", "--to", "free"], "Ask for one thing"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(home, arguments, sentence):
    done = chatai(home, "reindex", *arguments)
    assert sentence in str(done.exception)


def test_a_budget_of_money_needs_the_price_of_a_model_whose_provider_tells_none(home):
    given = {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free", "GIGACHAT_API_KEY": "a2V5", "CHATAI_BUDGET_DAY": "1"}
    arguments = ["reindex", "--to", "gigachat:EmbeddingsGigaR@2560"]
    refused = CliRunner().invoke(cli, arguments, env=given)
    assert str(refused.exception).startswith(
        "CHATAI_BUDGET_DAY holds nothing back without the price of 'EmbeddingsGigaR'"
    )


def test_questions_come_from_a_file(home, tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "Запись 3 изменена", "source": "tg/-1000000000101/3"}\n', encoding="utf-8")
    told = json.loads(chatai(home, "reindex", "--to", "free:512", "--questions", str(file), "--json").stdout)
    assert told["questions"] == 1
    file.write_text('{"question": "x"}\n', encoding="utf-8")
    refused = chatai(home, "reindex", "--to", "free:1024", "--questions", str(file))
    assert str(refused.exception).startswith("Line 1 of the questions is not like")
