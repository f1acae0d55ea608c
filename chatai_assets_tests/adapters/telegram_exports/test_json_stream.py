"""JSON is read value by value, whatever the sizes of the chunks it comes in."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.adapters.telegram_exports.json_stream import BrokenJson, JsonStreamReader, decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=8,
)


class SmallChunks(io.BytesIO):
    """Returns four bytes at a time: at least one whole character."""

    def read(self, size=-1):
        return super().read(min(size, 4))


@given(JSON, st.booleans())
def test_a_value_is_read_across_many_small_chunks(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert JsonStreamReader(SmallChunks(text.encode())).value() == value


def test_keys_and_elements_are_visited_in_order():
    reader = JsonStreamReader(io.BytesIO(b'\xef\xbb\xbf {"a": [1, {"b": 2}], "c": null} '))
    seen: list[object] = []
    for key in reader.keys():  # noqa: SIM118 - not a dict: each key is read from the stream
        seen.append(key)
        seen.append([reader.value() for _ in reader.elements()] if reader.peek() == "[" else reader.value())
    assert seen == ["a", [1, {"b": 2}], "c", None]
    assert reader.peek() == ""


@pytest.mark.parametrize("text", ["{", "[1, 2", '"open', "nonsense"])
def test_broken_json_is_reported_without_its_text(text):
    with pytest.raises(BrokenJson) as caught:
        JsonStreamReader(io.BytesIO(text.encode())).value()
    assert text not in str(caught.value)


def test_what_json_and_utf8_cannot_hold_is_replaced():
    assert decode('[NaN, 1e999, "\\ud800"]') == [None, None, "\ufffd"]
