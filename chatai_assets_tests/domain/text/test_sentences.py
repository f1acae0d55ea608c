from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.text.sentences import sentence_starts


def sentences(text: str) -> list[str]:
    borders = [0, *sentence_starts(text), len(text)]
    return [text[left:right].strip() for left, right in pairwise(borders)]


@pytest.mark.parametrize(
    "parts",
    [
        ["Он приехал в г. Москва утром.", "Было тепло."],
        ["Роман А. С. Пушкина вышел в 1833 г. в Петербурге.", "Его читали все."],
        ["The U.S. Senate voted.", "It was close."],
        ["Dr. Smith met Mr. Jones at 5 p.m. on Friday.", "They talked."],
        ["Это важно, т.е. нужно всем.", "Цена выросла на 3.5 процента."],
        ["Купили хлеб, молоко и т.д.", "Потом ушли."],
        ["Он молчал... и вдруг сказал.", "Все обернулись…", "Тишина!", "Кто там?"],
        ["«Мы победим!»", "Так он сказал."],
        ["1. Открыть дверь.", "2. Войти."],
        ["Строка без точки", "Другая строка"],
    ],
    ids=lambda parts: parts[0][:20],
)
def test_a_sentence_is_not_broken_at_an_abbreviation(parts: list[str]):
    assert sentences("\n".join(parts)) == parts
    if all(part[-1] in ".!?…»" for part in parts) and not parts[0].startswith("1."):
        assert sentences(" ".join(parts)) == parts


def test_a_line_that_continues_in_lower_case_is_the_same_sentence():
    assert sentences("Строка, разорванная\nвёрсткой страницы. Новая.") == [
        "Строка, разорванная\nвёрсткой страницы.",
        "Новая.",
    ]


@given(st.text(alphabet='аБ .!?…\n"»1г', max_size=200))
def test_a_start_is_the_first_letter_after_white_space(text: str):
    starts = sentence_starts(text)
    assert starts == sorted(set(starts))
    assert all(text[at - 1].isspace() and not text[at].isspace() for at in starts)
