"""Forms of one name in several posts: one node while any of them lives, and what people set about them."""

import random
from itertools import product

import pytest

from chatai_assets.domain.ids import post_key
from chatai_assets.operations import entities as naming
from chatai_assets.operations.entities import (
    EntityNotFound,
    merge,
    propagate_overrides,
    reset_override,
    show_entities,
    split,
)
from chatai_assets.storage import entity_overrides, schema
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    contents,
    find_inconsistencies,
    ingest_posts,
    message,
    process_all,
    rows,
)

RUSSIAN, ENGLISH, BARE = "Вчера там был город Москва.", "Today we saw the river in Moscow.", "Здесь никто не назван."
CITY, APART = "default|entity|place|moskva", "default|entity|other|#moscow"


def fill(services, *texts, date=1_700_000_000):
    ingest_posts(services, [message(number, text, date=date) for number, text in enumerate(texts, 1)])
    process_all(services)


def entities(services):
    """Return node -> post -> the form by which it is mentioned there."""
    found: dict[str, dict[int, str]] = {node.id: {} for node in services.graph.nodes() if node.label == "Entity"}
    for edge in services.graph.edges():
        if edge.type == "MENTIONS":
            found[edge.end[1]][int(edge.source.rsplit("/", 1)[1])] = edge.properties["forms"]
    return found


def test_what_people_set_is_drawn_by_the_next_run_and_taken_back_by_the_one_after(services):
    fill(services, RUSSIAN, ENGLISH, ENGLISH, BARE)
    assert entities(services) == {CITY: {1: "москва", 2: "moscow", 3: "moscow"}}
    assert split(services.records, "default", "other", "Moscow", note="a club") == 2
    process_all(services)
    assert entities(services) == {CITY: {1: "москва"}, APART: {2: "moscow", 3: "moscow"}}
    assert merge(services.records, "default", "other", "москва", "moscow", note="the club as well") == 1
    process_all(services)
    assert entities(services) == {APART: {1: "москва", 2: "moscow", 3: "moscow"}}
    assert [reset_override(services.records, "default", "other", form) for form in ("moscow", "Москва")] == [2, 1]
    process_all(services)
    assert entities(services) == {CITY: {1: "москва", 2: "moscow", 3: "moscow"}}
    assert rows(services, schema.entity_overrides) == []
    assert find_inconsistencies(contents(services)) == []


def drawn_at(services):
    return {row["source_key"]: row["changed_at"] for row in rows(services, schema.work, schema.work.c.stage == "link")}


def test_only_what_mentions_the_form_is_drawn_again(embedded):
    fill(embedded, RUSSIAN, ENGLISH, BARE)
    before = drawn_at(embedded)
    split(embedded.records, "default", "other", "moscow", note="")
    process_all(embedded)
    after = drawn_at(embedded)
    assert [key for key in after if after[key] != before[key]] == [post_key(CHAT, 2)]


def test_other_tenants_keep_their_own_meaning(embedded):
    for tenant in ("north", "south"):
        ingest_posts(embedded, [message(1, ENGLISH)], tenant=tenant)
    process_all(embedded)
    split(embedded.records, "north", "other", "moscow", note="")
    process_all(embedded)
    assert set(entities(embedded)) == {"north|entity|other|#moscow", "south|entity|place|moskva"}


def test_a_command_that_was_killed_is_finished_by_whoever_comes_next(embedded, monkeypatch):
    fill(embedded, *[ENGLISH] * 5)
    monkeypatch.setattr(naming, "BATCH_ITEMS", 2)
    clock = iter([NOON, NOON])  # its end is the end of the command: of five posts two were told
    with pytest.raises(StopIteration):
        split(embedded.records, "default", "other", "moscow", note="", clock=lambda: next(clock))
    assert sum(row["state"] == "pending" for row in rows(embedded, schema.work)) == 2
    assert propagate_overrides(embedded.records) == 3
    process_all(embedded)
    assert set(entities(embedded)) == {APART}
    assert propagate_overrides(embedded.records) == 0


def test_a_name_is_shown_with_all_its_forms_and_why(embedded):
    fill(embedded, RUSSIAN, ENGLISH, ENGLISH)
    (city,) = show_entities(embedded.records, "default", "МОСКВА")
    assert city == {
        "kind": "place",
        "key": "moskva",
        "name": "Москва",
        "forms": [
            {"kind": "other", "form": "moscow", "items": 2, "reasons": ["known name"], "note": None},
            {"kind": "other", "form": "москва", "items": 1, "reasons": ["known name"], "note": None},
        ],
    }
    split(embedded.records, "default", "other", "moscow", note="a club")
    assert show_entities(embedded.records, "default", "Moscow")[0]["forms"] == [
        {"kind": "other", "form": "moscow", "items": 2, "reasons": ["by hand"], "note": "a club"}
    ]


def test_all_forms_are_shown_however_many_there_are(embedded, monkeypatch):
    monkeypatch.setattr(entity_overrides, "FORMS_AT_ONCE", 1)
    fill(embedded, RUSSIAN, ENGLISH)
    (city,) = show_entities(embedded.records, "default", "moscow")
    assert [form["form"] for form in city["forms"]] == ["moscow", "москва"]


def test_what_nobody_mentions_cannot_be_set(embedded):
    fill(embedded, RUSSIAN)
    for change in (
        lambda: split(embedded.records, "default", "person", "москва", note=""),
        lambda: merge(embedded.records, "default", "other", "москва", "Пермь", note=""),
        lambda: reset_override(embedded.records, "default", "other", "москва"),
        lambda: show_entities(embedded.records, "default", "Пермь"),
    ):
        with pytest.raises(EntityNotFound):
            change()
    assert rows(embedded, schema.entity_overrides) == []


@pytest.mark.parametrize("seed", range(2))
def test_forms_of_one_name_come_and_go_in_any_order(embedded, seed):
    """Three posts are edited to say one form, the other, both or none, in random order; a model of sets agrees."""
    moves = random.Random(seed)
    texts = {BARE: "", RUSSIAN: "москва", ENGLISH: "moscow", f"{RUSSIAN} Here is Moscow again.": "moscow\nмосква"}
    steps = list(product(range(1, 4), texts))
    moves.shuffle(steps)
    left: dict[int, str] = {}
    for number, text in steps[:6]:
        edited = 1_700_000_000 + len(left) + 10 * steps.index((number, text))
        ingest_posts(embedded, [message(number, text, edited=edited)])
        process_all(embedded, stages=["parse", "enrich", "link"])
        left[number] = texts[text]
        wanted = {post: forms for post, forms in left.items() if forms}
        assert entities(embedded) == ({CITY: wanted} if wanted else {})
