"""Whatever an answer says, only what stands in the text is believed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.adapters.nlp.russian import name_form
from chatai_assets.domain.errors import InvalidModelResponse
from chatai_assets.domain.prompts import facts_messages, read_facts, read_tags, repair_messages, tags_messages

TEXT = "Вчера Анну Каренину видели в Москве, сообщает ТАСС."
ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["Москве", "ТАСС", "сообщает"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["tags", "entities", "relations", "name", "normal", "kind", "subject", "predicate", "object"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(ANSWERS | st.text(max_size=60))
def test_tags_are_in_the_text_whatever_is_answered(answer):
    try:
        tags = read_tags(json.dumps(answer) if not isinstance(answer, str) else answer, TEXT)
    except InvalidModelResponse:
        return
    assert tags
    assert all(tag in TEXT for tag in tags)


@given(ANSWERS | st.text(max_size=60))
def test_facts_are_in_the_chunk_whatever_is_answered(answer):
    try:
        facts = read_facts(json.dumps(answer) if not isinstance(answer, str) else answer, TEXT)
    except InvalidModelResponse:
        return
    forms = {entity.form for entity in facts.entities}
    assert all(entity.name in TEXT for entity in facts.entities)
    assert all({tie.subject, tie.object} <= forms and (tie.weak or tie.predicate in TEXT) for tie in facts.relations)


def facts_of(entities, relations=()):
    return read_facts(json.dumps({"entities": entities, "relations": list(relations)}), TEXT)


@pytest.mark.parametrize(
    ("normal", "form"),
    [
        ("Анна Каренина", "анна каренина"),
        ("Анна Аркадьевна Каренина", "анну каренину"),
        ("Иван Грозный", "анну каренину"),
        ("", "анну каренину"),
    ],
)
def test_a_normal_form_is_another_case_of_the_name_or_the_name_itself(normal, form):
    (entity,) = facts_of([{"name": "Анну Каренину", "normal": normal, "kind": "person"}]).entities
    assert (entity.name, entity.form) == ("Анну Каренину", form)


@pytest.mark.parametrize(("normal", "form"), [("Анна Каренина", "анна каренина"), ("Анна", "анна каренин")])
def test_a_name_without_a_normal_form_of_its_own_is_freed_of_its_case(normal, form):
    answer = {"entities": [{"name": "Анну Каренину", "normal": normal, "kind": "person"}], "relations": []}
    (entity,) = read_facts(json.dumps(answer), TEXT, name_form).entities
    assert entity.form == form


def test_a_relation_is_strong_only_in_words_of_the_text():
    entities = [{"name": name, "normal": name, "kind": "other"} for name in ("Анну Каренину", "Москве")]
    ties = [{"subject": "Анну Каренину", "predicate": words, "object": "Москве"} for words in ("видели в", "взорвала")]
    strong, weak = facts_of(entities, ties).relations
    assert (strong.predicate, strong.weak) == ("видели в", False)
    assert (weak.predicate, weak.weak) == ("mentioned_with", True)


@pytest.mark.parametrize(
    "answer",
    ["", "море", "[" * 100_000, '{"tags": "Москве"}', '{"tags": [1]}', '["Москве"]', '{"tags": ["Париж"]}', "null"],
    ids=range(8),
)
def test_an_answer_that_breaks_the_rules_is_rejected_without_quoting_it(answer):
    with pytest.raises(InvalidModelResponse) as fault:
        read_tags(answer, TEXT)
    assert len(str(fault.value)) < 80
    assert "Париж" not in str(fault.value)


def test_a_fence_around_the_json_is_forgiven():
    assert read_tags('```json\n{"tags": ["москве"]}\n```', TEXT) == ["Москве"]


@given(st.text(max_size=80))
def test_a_text_cannot_contain_its_own_marks(text):
    for messages in (tags_messages(text), facts_messages(text)):
        system, user = messages
        opening, closing = user["content"].split("\n", 1)[0], user["content"].rsplit("\n", 1)[1]
        assert user["content"] == f"{opening}\n{text}\n{closing}"
        assert closing not in text
        assert closing in system["content"]
        assert text[:30] not in system["content"] or len(text) < 12


def test_a_repair_shows_the_answer_and_the_fault():
    messages = repair_messages(tags_messages(TEXT), "чепуха" * 5_000, InvalidModelResponse("The answer is no JSON."))
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert len(messages[2]["content"]) == 4_000
    assert "The answer is no JSON." in messages[3]["content"]
