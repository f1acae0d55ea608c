"""Messages and documents survive the pipe."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.adapters.sandbox.protocol import (
    HEADER,
    document_from_message,
    document_to_message,
    encode_message,
    read_message,
)
from chatai_assets.domain.documents import Page, ParsedDocument, Section

DOCUMENT = ParsedDocument(
    "Тема\n\nтекст", "pdf", "Тема", (Page(1, 0, 4),), (Section(1, "Тема", 0),), ("https://a.ru/",), ("note",), (2,)
)


@given(st.lists(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers()), max_size=4))
def test_messages_are_read_one_by_one_until_the_end(messages):
    stream = io.BytesIO(b"".join(map(encode_message, messages)))
    assert [read_message(stream) for _ in messages] == messages
    assert read_message(stream) is None


def test_a_document_survives_the_pipe():
    message = json.loads(encode_message(document_to_message(DOCUMENT))[HEADER.size :])
    assert document_from_message(message) == DOCUMENT


@pytest.mark.parametrize("message", [{}, {"title": None}, {**document_to_message(DOCUMENT), "pages": [[1]]}])
def test_a_malformed_document_is_an_error(message):
    with pytest.raises((KeyError, TypeError, ValueError)):
        document_from_message(message)
