"""Text is normalised for storage, and links are found in it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.text.normalize import find_links, normalise

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        pytest.param("и\u0306", "й", id="composed"),
        pytest.param("a\r\nb\rc\u2028d\x0ce", "a\nb\nc\nd\ne", id="line ends"),
        pytest.param("a\x00b\x1bc\tд", "abc\tд", id="control characters"),
        pytest.param("\ufeff  пере\u00adнос\u200b \n", "перенос", id="invisible and around"),
        pytest.param("x\ud83d\ude01y\ud83dz", "x😁yz", id="surrogates"),
        pytest.param("👩\u200d💻 ❤\ufe0f", "👩\u200d💻 ❤\ufe0f", id="emoji stay whole"),
        pytest.param("  plain  ", "plain", id="ascii"),
    ],
)
def test_text_is_stored_in_one_form(raw, stored):
    assert normalise(raw) == stored


@given(ANY_TEXT)
def test_normalising_twice_changes_nothing(raw):
    once = normalise(raw)
    assert normalise(once) == once


@given(ANY_TEXT)
def test_stored_text_is_nfc_without_control_characters_and_can_be_encoded(raw):
    stored = normalise(raw)
    stored.encode()
    assert unicodedata.is_normalized("NFC", stored)
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t" for char in stored)
    assert stored == stored.strip()


@pytest.mark.parametrize(
    ("text", "links"),
    [
        pytest.param(
            "См. https://example.org/a, и http://b.ru.", ("https://example.org/a", "http://b.ru"), id="sentence"
        ),
        pytest.param(
            "(https://ru.wikipedia.org/wiki/Код_(язык))", ("https://ru.wikipedia.org/wiki/Код_(язык)",), id="brackets"
        ),
        pytest.param("«https://a.ru/x?y=1&z=2#k»!", ("https://a.ru/x?y=1&z=2#k",), id="quotes"),
        pytest.param("https://a.ru https://b.ru https://a.ru", ("https://a.ru", "https://b.ru"), id="each once"),
        pytest.param("HTTPS://A.RU/Path", ("HTTPS://A.RU/Path",), id="upper case"),
        pytest.param("ftp://a.ru xhttp://b.ru http:// https://. a.ru", (), id="none"),
        pytest.param(
            "READ ➠https://jns.org/a/?q=https://b.c/d", ("https://jns.org/a/?q=https://b.c/d",), id="inside a query"
        ),
    ],
)
def test_links_are_found_without_the_punctuation_around_them(text, links):
    assert find_links(text) == links


@given(ANY_TEXT)
def test_every_link_occurs_in_the_text(raw):
    text = normalise(f"{raw} https://a.ru/{raw}")
    assert all(link in text for link in find_links(text))
