"""Offsets of a built document are exact."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.text.normalize import normalise


@given(st.lists(st.tuples(st.sampled_from(["paragraph", "heading", "page"]), st.text(max_size=40)), max_size=8))
def test_offsets_slice_back_to_what_was_written(blocks: list[tuple[str, str]]) -> None:
    document = DocumentBuilder(ParserLimits())
    document.paragraph("начало")
    for number, (kind, text) in enumerate(blocks):
        if kind == "paragraph":
            document.paragraph(text)
        elif kind == "heading":
            document.heading(1, text)
        else:
            document.page(number, text)
    parsed = document.finish("text")
    assert normalise(parsed.text) == parsed.text
    assert all(parsed.text[section.start :].startswith(section.title) for section in parsed.sections)
    assert all(
        normalise(blocks[page.number][1]).split() == parsed.text[page.start : page.end].split() for page in parsed.pages
    )
