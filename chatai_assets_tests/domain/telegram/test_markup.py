"""Telegram's Markdown as plain text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.telegram.markup import strip_markdown


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        pytest.param("**Жирно** и __курсив__, ~~нет~~", "Жирно и курсив, нет", id="marks"),
        pytest.param("🐍** Итоги\n**дня", "🐍 Итоги\nдня", id="spaces and line ends within"),
        pytest.param("**a: ****@b**", "a: @b", id="side by side"),
        pytest.param("**__обе__**", "обе", id="one in another"),
        pytest.param("двойным __. Эти", "двойным __. Эти", id="alone"),
        pytest.param("`x = __a__` и ```a ** b\nc ** d```", "x = __a__ и a ** b\nc ** d", id="code"),
        pytest.param("it`s", "it`s", id="one tick"),
        pytest.param("метод __init__() и **kwargs", "метод __init__() и **kwargs", id="names of Python"),
        pytest.param("__См. https://a.ru/b__c__ тут", "См. https://a.ru/b__c тут", id="marks within a URL"),
        pytest.param("x[i](j) и [1] и [ и ]", "x[i](j) и [1] и [ и ]", id="brackets that are no links"),
        pytest.param("2 * 3 * 4, a_b_c", "2 * 3 * 4, a_b_c", id="single marks are text"),
        pytest.param("конец](https://a.ru)", "конец](https://a.ru)", id="a link never opened"),
    ],
)
def test_marks_are_removed_and_text_stays(markdown, text):
    assert strip_markdown(markdown)[0] == text


@pytest.mark.parametrize(
    ("markdown", "text", "hrefs"),
    [
        pytest.param("Вот [тут](https://a.ru).", "Вот тут.", [(4, "https://a.ru")], id="plain"),
        pytest.param("[**Книги**](http://t.me/b)", "Книги", [(0, "http://t.me/b")], id="marked words"),
        pytest.param("👈[\n\n](https://a.ru)x", "👈\n\nx", [(1, "https://a.ru")], id="only line ends"),
        pytest.param("[[1]](https://a.ru)", "[1]", [(0, "https://a.ru")], id="brackets in words"),
        pytest.param("[w](https://e.org/T_(s))!", "w!", [(0, "https://e.org/T_(s)")], id="brackets in address"),
        pytest.param(
            "[ ](https://t.me/+q\\)[x](https://t.me/+q)",
            " x",
            [(0, "https://t.me/+q"), (1, "https://t.me/+q")],
            id="slash",
        ),
        pytest.param("[u](https://a.ru/?a=1~~&b=2~~)", "u", [(0, "https://a.ru/?a=1~~&b=2~~")], id="marks in address"),
        pytest.param("[https://a.ru](https://a.ru)", "https://a.ru", [(0, "https://a.ru")], id="a URL as words"),
    ],
)
def test_links_keep_their_targets(markdown, text, hrefs):
    assert strip_markdown(markdown) == (text, hrefs)


@given(st.text(alphabet="ab *_~`[]()\nhttps://x.ru"))
def test_only_marks_and_link_targets_are_removed(markdown):
    text, hrefs = strip_markdown(markdown)
    assert len(text) <= len(markdown)
    assert all(0 <= offset <= len(text) for offset, _ in hrefs)
    letters = iter(markdown)
    assert all(char in letters for char in text)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("piece", ["[", "](https://a", "**", "`", "``` ", "](https://((((", "__x", "https://a~~"])
def test_a_hostile_text_takes_little_time(piece):
    assert strip_markdown(piece * 20_000)
