"""What is stale is told with what it would cost, and done again only by hand."""

import json
from dataclasses import replace

import pytest

from chatai_assets.domain.costs import Price, Tariff
from chatai_assets.operations.staleness import ActiveVersions, active_versions, find_stale, redo_stale
from chatai_assets.storage import schema
from chatai_assets_tests.cli.test_reindexing import chatai
from chatai_assets_tests.support.pipeline import ingest_files, ingest_posts, message, process_all, rows
from chatai_assets_tests.support.reindexing import run_reindex

TEXT = "Вчера Иван видел Лондон рядом, и поезд прибыл."


@pytest.fixture
def home(services, tmp_path):
    """Three posts and a document, done."""
    ingest_posts(services, [message(number, f"{TEXT} {number}") for number in range(1, 4)])
    file = tmp_path / "a.txt"
    file.write_text(TEXT, encoding="utf-8")
    ingest_files(services, [file])
    process_all(services)
    return services


NO_PRICES = Tariff()


def told(services, in_use, tariff=NO_PRICES):
    return {each.stage: each for each in find_stale(services.records, in_use, tariff)}


def test_nothing_is_stale_of_what_was_just_made(home):
    assert {stage: each.items for stage, each in told(home, active_versions(home)).items() if each.items} == {}
    run_reindex(home, "free:512")
    assert {stage: each.items for stage, each in told(home, active_versions(home)).items() if each.items} == {}


def test_another_model_makes_its_stage_stale_and_says_what_that_costs(home):
    others = ActiveVersions(
        "other tagger", "other extractor", "other embedder", {"tag": "a", "embed": "b", "enrich": "c"}
    )
    found = told(home, others, Tariff({"a": Price(10, 10), "b": Price(1_000_000, 0)}))
    assert {stage: (each.posts, each.documents) for stage, each in found.items() if each.items} == {
        "tag": (3, 1),
        "enrich": (3, 1),
        "embed": (3, 1),
        "index": (3, 1),
    }
    chars = sum(len(row["text"]) for row in rows(home, schema.chunks))
    assert chars // 3 - 1 <= found["embed"].tokens <= chars // 3
    assert found["embed"].money == found["embed"].tokens
    assert found["tag"].tokens == pytest.approx(4 * 700 + chars // 3, abs=2)
    assert found["tag"].money == pytest.approx(found["tag"].tokens / 100_000)
    assert (found["enrich"].tokens > 0, found["enrich"].money) == (True, None)
    assert (found["index"].tokens, found["index"].money) == (0, 0.0)


def test_what_a_model_has_embedded_already_costs_nothing(home):
    model = active_versions(home).embedder
    with home.records.begin() as connection:
        connection.execute(schema.work.update().where(schema.work.c.stage == "embed").values(fingerprint="old"))
    found = told(home, replace(active_versions(home), priced_models={"embed": "b"}))["embed"]
    assert (found.items, found.tokens, found.money) == (4, 0, 0.0)
    assert model == home.indexes.serving_now().model


def test_it_is_done_again_by_hand_alone_and_as_much_as_was_asked_for(home):
    with home.records.begin() as connection:
        connection.execute(schema.work.update().where(schema.work.c.stage == "tag").values(fingerprint="old"))
    assert process_all(home) == []
    assert told(home, active_versions(home))["tag"].items == 4
    assert redo_stale(home.records, active_versions(home), "tag", 3) == 3
    process_all(home)
    assert told(home, active_versions(home))["tag"].items == 1
    assert redo_stale(home.records, active_versions(home), "tag", 3) == 1
    process_all(home)
    assert [each.stage for each in told(home, active_versions(home)).values() if each.items] == []


def test_the_command_tells_and_redoes(tmp_path, embedded):
    ingest_posts(embedded, [message(1, TEXT)])
    process_all(embedded)
    with embedded.records.begin() as connection:
        connection.execute(schema.work.update().where(schema.work.c.stage == "tag").values(fingerprint="old"))
    home = tmp_path / "home"
    (tag,) = [each for each in json.loads(chatai(home, "stale", "--json").stdout) if each["stage"] == "tag"]
    assert tag == {"stage": "tag", "posts": 1, "documents": 0, "tokens": 0, "money": 0.0, "items": 1}
    assert "`chatai stale --redo STAGE` does." in chatai(home, "stale").stdout
    assert chatai(home, "stale", "--redo", "tag").stdout == "1 items are pending again from 'tag' on.\n"
