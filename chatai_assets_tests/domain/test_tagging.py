from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.tagging import (
    MAX_TAG_CHARS,
    MAX_TAG_WORDS,
    MAX_TAGS,
    check_tags,
    has_usable_word,
    tags_hash,
    usable_words,
)
from chatai_assets_tests.support.call_counter import count_calls

PIECES = st.text(alphabet="аБвxY0.:/@_-\u2011\u2013 \u00a0\n#«»👍", max_size=30)


@given(candidates=st.lists(PIECES, max_size=12), text=PIECES)
def test_every_tag_is_in_the_text(candidates: list[str], text: str):
    tags = check_tags(candidates + text.split(), text)
    assert len(tags) <= MAX_TAGS
    assert len({tag.casefold() for tag in tags}) == len(tags)
    for tag in tags:
        assert tag in text
        assert 2 <= len(tag) <= MAX_TAG_CHARS
        assert len(tag.split()) <= MAX_TAG_WORDS
        assert "\n" not in tag
        assert any(character.isalpha() for character in tag)
    assert check_tags(tags, text) == tags


@given(PIECES)
def test_a_usable_word_is_a_tag(text: str):
    for word in usable_words(text):
        assert check_tags([word], text)
    assert has_usable_word(text) == bool(list(usable_words(text)))


@pytest.mark.parametrize(
    ("candidate", "text", "tag"),
    [
        ("владимир путин", "Встреча: Владимир\u00a0Путин и другие", "Владимир\u00a0Путин"),
        ("санкт-петербург", "Поезд в Санкт\u2011Петербург", "Санкт\u2011Петербург"),
        ("#Новости", "Все #новости дня", "новости"),
        ("«Спартак»", "Играет «Спартак» дома", "Спартак"),
        ("дрон", "Обломки дронов нашли", "дрон"),
        ("ASP.NET", "Курс по ASP.NET для всех", "ASP.NET"),
        ("COVID-19", "Вспышка COVID-19", "COVID-19"),
    ],
)
def test_a_tag_takes_the_spelling_of_the_text(candidate: str, text: str, tag: str):
    assert check_tags([candidate], text) == (tag,)


@pytest.mark.parametrize(
    ("candidate", "text"),
    [
        ("кот", "скот на лугу"),
        ("наука", "Ничего об этом"),
        ("2024", "В 2024 году"),
        ("👍👍", "Да 👍👍"),
        ("https://example.org/a", "См. https://example.org/a"),
        ("naked-science.ru", "Сайт naked-science.ru пишет"),
        ("@durov", "Пишет @durov"),
        ("одно два", "одно\nдва"),
        ("а б в г д е", "а б в г д е"),
        ("", "текст"),
        ("...", "текст..."),
    ],
)
def test_what_is_no_tag_is_left_out(candidate: str, text: str):
    assert check_tags([candidate], text) == ()


def test_the_first_of_equal_tags_stays_and_the_order_too():
    assert check_tags(["нефть", "Цена", "НЕФТЬ", "цена"], "Цена на нефть растёт") == ("нефть", "Цена")


def test_the_hash_changes_with_tags_order_and_spelling():
    hashes = {tags_hash(tags) for tags in ((), ("а", "б"), ("б", "а"), ("аб",), ("А", "б"))}
    assert len(hashes) == 5


@pytest.mark.timeout(120)  # work that grows with the square of the length would take hours
@pytest.mark.parametrize("text", ["a" * 1_000_000, "a." * 500_000, "a@" * 500_000, "-" * 1_000_000, "a-" * 500_000])
def test_a_hostile_text_is_checked_in_bounded_time(text: str):
    check_everything(text)
    assert not check_tags([text], text)
    short, double = (count_calls(partial(check_everything, text[:chars])) for chars in (20_000, 40_000))
    assert double < 2.5 * short + 1_000


def check_everything(text: str) -> None:
    check_tags(["слово", "a b-c", text], text)
    list(usable_words(text))
