"""Text that was recognised on images: of one page, and what is told of a whole document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MIN_WORD_CONFIDENCE = 40.0
"""Percent; less sure words are mostly lines and spots."""
MIN_PAGE_CONFIDENCE = 50.0
"""Percent; below it a page is a picture, or writing that the engine does not know."""
MIN_LETTERS = 3


@dataclass(frozen=True, slots=True)
class OcrWord:
    """One word as an engine tells it.

    Attributes:
        paragraph: number of its paragraph on the page; those of a paragraph follow each other.
        line: number of its line in the paragraph.
        confidence: percent.
    """

    text: str
    paragraph: int
    line: int
    confidence: float


@dataclass(frozen=True, slots=True)
class OcrPage:
    """What was recognised on one page.

    Attributes:
        text: lines and paragraphs; ``""`` where there is nothing that could be read.
        confidence: of its characters on average, in percent.
    """

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class OcrResult:
    """How the text of a document came about that was recognised on images.

    Attributes:
        engine: name, version and languages, e.g. ``"tesseract 5.3.0 rus+eng"``.
        pages: number -> confidence in percent, of the pages whose text was recognised.
        unread: number -> code of what went wrong, of pages that show something and could not be read.
        prints: fingerprints of the kept pages that it rests on.
    """

    engine: str
    pages: Mapping[int, float]
    unread: Mapping[int, str] = field(default_factory=dict)
    cache_keys: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """What is stored beside the document and shown of it, as plain JSON values; confidence in percent."""
        return {
            "engine": self.engine,
            "pages": len(self.pages),
            "confidence": round(sum(self.pages.values()) / len(self.pages), 1) if self.pages else None,
            "unread": {str(number): code for number, code in sorted(self.unread.items())},
        }


def build_page(words: list[OcrWord]) -> OcrPage:
    """Return the text of a page, without words that are not sure; garbage as a whole is no text."""
    length = sum(len(word.text) for word in words)
    confidence = sum(word.confidence * len(word.text) for word in words) / length if length else 0.0
    sure = [word for word in words if word.confidence >= MIN_WORD_CONFIDENCE]
    letters = sum(sign.isalpha() for word in sure for sign in word.text)
    if confidence < MIN_PAGE_CONFIDENCE or letters < MIN_LETTERS:
        return OcrPage("", round(confidence, 1))
    return OcrPage(_lay_out(sure), round(confidence, 1))


def _lay_out(words: list[OcrWord]) -> str:
    paragraphs: dict[int, dict[int, list[str]]] = {}
    for word in words:
        paragraphs.setdefault(word.paragraph, {}).setdefault(word.line, []).append(word.text)
    return "\n\n".join("\n".join(" ".join(line) for line in lines.values()) for lines in paragraphs.values())
