"""Text -> chunks: what is embedded, searched and quoted."""

from __future__ import annotations

from dataclasses import dataclass

BODY = "body"
"""The part of a source that is its own text; a linked page is another part."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a source's parsed text: ``text == parsed.text[start:end]``, always.

    Attributes:
        ordinal: 0-based position within its part.
        start: offset of its first character in the parsed text.
        end: offset after its last character.
        page: number of the page it starts on; None for formats without pages.
    """

    ordinal: int
    text: str
    start: int
    end: int
    page: int | None = None
