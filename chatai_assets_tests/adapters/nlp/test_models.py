import csv
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatai_assets.adapters.nlp.english import english_names
from chatai_assets.adapters.nlp.extractor import MAX_RELATIONS, OfflineExtractor
from chatai_assets.adapters.nlp.russian import name_form
from chatai_assets.adapters.nlp.tagger import OfflineTagger
from chatai_assets.domain.extraction import Entity, check_extraction
from chatai_assets.domain.tagging import MAX_TAGS, check_tags, has_usable_word
from chatai_assets.domain.text.language import word_set

NEWS = (
    "Президент Владимир Путин встретился в Москве с главой компании «Роснефть» Игорем Сечиным. "
    "Стороны обсудили переработку нефти. Переработка нефти растёт, отметил Путин."
)


def entities_of(text: str) -> dict[str, str]:
    return {entity.form: entity.kind for entity in OfflineExtractor().extract([text])[0].entities}


def test_names_and_noun_phrases_become_tags():
    tags = OfflineTagger().tag([NEWS])[0]
    assert "Владимир Путин" in tags
    assert "переработку нефти" in [tag.lower() for tag in tags] or "Переработка нефти" in tags
    assert "Путин" not in tags


def test_an_english_post_has_tags_too():
    tags = OfflineTagger().tag(["BREAKING: Elon Musk says SpaceX will launch climate satellites from Florida"])[0]
    assert {"Elon Musk", "SpaceX", "Florida"} & set(tags)
    assert "BREAKING" not in tags


@pytest.mark.parametrize(
    "text",
    ["да", "Follow", "бежать быстро", "https://a.ru/b слово", "😀 ок", "THE AND", "слово_с_чертой да", "日本語"],
)
def test_a_text_with_a_word_has_a_tag(text: str):
    assert has_usable_word(text)
    assert OfflineTagger().tag([text])[0]


@pytest.mark.parametrize("text", ["", "   ", "123", "👍👍👍", "https://example.org/path", "@durov", "..."])
def test_a_text_without_words_has_neither_tags_nor_entities(text: str):
    assert OfflineTagger().tag([text])[0] == ()
    assert OfflineExtractor().extract([text])[0].entities == ()


MARKS = 'в|«»()1 \n\u2011\u00a0"🙂'
WORDS = ("#тег", "@имя", "https://a.ru", "нефть", "дом", "красивый", "Москва", "БПЛА", "Иван Петров", "Крупнейший банк")
PIECES = st.sampled_from([*MARKS, *WORDS, ". ", "**", "the", "’s", "New York", "Storm Shadow"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PIECES, st.sampled_from(["", " "])), max_size=30))
def test_the_offline_models_keep_the_rules_for_any_text(pieces: list[tuple[str, str]]):
    text = "".join(piece + gap for piece, gap in pieces)
    tags = OfflineTagger().tag([text])[0]
    assert check_tags(tags, text) == tags
    assert bool(tags) == has_usable_word(text)
    extraction = OfflineExtractor().extract([text])[0]
    assert check_extraction(extraction, text) == extraction


@pytest.mark.parametrize(
    ("name", "kind", "form"),
    [
        ("Владимира Путина", "person", "владимир путин"),
        ("Владимиру Путину", "person", "владимир путин"),
        ("Путиным", "person", "путин"),
        ("Кириллом Мокевниным", "person", "кирилл мокевнин"),
        ("Москве", "place", "москва"),
        ("США", "place", "сша"),
        ("БПЛА", "other", "бпла"),
        ("Сбербанка", "organization", "сбербанк"),
        ("Google", "organization", "google"),
    ],
)
def test_the_cases_of_a_name_share_a_form(name: str, kind: str, form: str):
    assert name_form(name, kind) == form


def test_a_surname_is_the_person_whose_full_name_the_chunk_gives():
    assert entities_of(NEWS) == {
        "владимир путин": "person",
        "москва": "place",
        "роснефть": "organization",
        "игорь сечин": "person",
    }


def test_a_surname_that_begins_a_text_is_found():
    assert set(entities_of("Путин и президент Ирана Пезешкиан поговорили.")) == {"путин", "иран", "пезешкиан"}


def test_names_of_one_sentence_are_weakly_related_and_no_others():
    extraction = OfflineExtractor().extract(["Иван Петров живёт в Казани. Анна Белова живёт в Омске."])[0]
    pairs = {frozenset({relation.subject, relation.object}) for relation in extraction.relations}
    assert pairs == {frozenset({"иван петров", "казань"}), frozenset({"анна белов", "омск"})}
    assert all(relation.weak and relation.predicate == "mentioned_with" for relation in extraction.relations)


def test_relations_are_bounded():
    towns = sorted(word_set("Москва Казань Омск Томск Тверь Псков Самара Пермь Уфа Киров Тула Рязань Сочи Анапа Курск"))
    text = " ".join(f"Из города {one} поехали в город {other}." for one in towns for other in towns)
    extraction = OfflineExtractor().extract([text])[0]
    assert 10 < len(extraction.relations) <= MAX_RELATIONS


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "Yesterday Donald Trump met Modi in Beijing.",
            {"Donald Trump": "person", "Modi": "other", "Beijing": "place"},
        ),
        ("The Bank of England raised rates.", {"Bank of England": "organization"}),
        ("Jeff Bezos’ Amazon sued.", {"Jeff Bezos": "person", "Amazon": "other"}),
        ("Prices rose. Nobody knows why.", {}),
        ("FAILED TERROR ATTACK IN THE CENTRE OF TOWN", {}),
    ],
)
def test_english_names_have_capital_letters(text: str, names: dict[str, str]):
    found = {text[name.start : name.end]: name.kind for name in english_names(text)}
    assert names.items() <= found.items()
    assert bool(found) == bool(names)


def test_entities_carry_the_spelling_of_the_chunk():
    entity = OfflineExtractor().extract(["Вчера Владимира Путина ждали в Кремле."])[0].entities[0]
    assert entity == Entity("Владимира Путина", "владимир путин", "person")


def corpus_posts(most: int) -> list[str]:
    folder = os.environ.get("CHATAI_CORPUS")
    if folder is None:
        pytest.skip("CHATAI_CORPUS is not set")
    posts: list[str] = []
    for path in sorted(Path(folder, "posts").glob("ru_*.json")):
        posts += [row["text"] for row in json.loads(path.read_text("utf-8"))[: most // 10]]
    for path in sorted(Path(folder, "posts").glob("en_*.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            posts += [row["cleaned_message"] or row["message"] for row in csv.DictReader(lines)][: most // 8]
    return posts


@pytest.mark.scenario
@pytest.mark.corpus
def test_every_tag_of_real_posts_is_in_its_post():
    posts = corpus_posts(1_000)
    assert len(posts) >= 1_000
    for post, tags in zip(posts, OfflineTagger().tag(posts), strict=True):
        assert all(tag in post for tag in tags)
        assert len(tags) <= MAX_TAGS
        assert bool(tags) == has_usable_word(post)


@pytest.mark.corpus
def test_every_entity_of_real_posts_is_in_its_post():
    posts = corpus_posts(200)
    for post, extraction in zip(posts, OfflineExtractor().extract(posts), strict=True):
        assert check_extraction(extraction, post) == extraction
