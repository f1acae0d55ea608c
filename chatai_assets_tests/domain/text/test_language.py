import pytest

from chatai_assets.domain.text.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Привет", "ru"),
        ("BREAKING: Fire at Trump Tower", "en"),
        ("Что нового в Python 3.13? https://docs.python.org/3/whatsnew/3.13.html?a=very&long=address", "ru"),
        ("Сьогодні у Києві відкрили нову лікарню для дітей", "other"),
        ("Das ist nicht ein Haus und der Mann ist mit dem Hund", "other"),
        ("今日は天気がいいです", "other"),
        ("👍 123", "other"),
        ("", "other"),
        ("The mayor of Москва said on Tuesday that prices would not rise", "en"),
    ],
)
def test_letters_and_function_words_indicate_the_language(text: str, language: str):
    assert detect_language(text) == language
