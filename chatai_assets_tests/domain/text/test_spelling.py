"""A name is found in a text however a model has spelled it."""

import pytest

from chatai_assets.domain.text.spelling import find_spelling, plain_form


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("Вышел кот.", "кот", "кот"),
        ("Вышел Кот.", "«кот»", "Кот"),
        ("скот и котик", "кот", "кот"),
        ("скот", "кот", None),
        ("Нью\u2011Йорк", "нью-йорк", "Нью\u2011Йорк"),
        ("Нижний\u00a0Новгород", "Нижний Новгород", "Нижний\u00a0Новгород"),
        ("Нижний\nНовгород", "Нижний Новгород", None),
        ("что угодно", "!?", None),
        ("что угодно", "у" * 201, None),
    ],
)
def test_words_are_found_as_the_text_spells_them(text, words, found):
    assert find_spelling(text, words) == found


@pytest.mark.parametrize(
    ("name", "form"), [("«Ёлка»", "елка"), ("Нью\u2013Йорк", "нью-йорк"), ("ООО  (Волга)", "ооо (волга)")]
)
def test_spellings_of_a_name_have_one_plain_form(name, form):
    assert plain_form(name) == form
