"""Results of OCR: the text of a page from recognised words, and what is stored about a whole document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DPI = 300
"""Resolution at which pages are rendered: that of the images tesseract's models were trained on. Images keep their own;
the difference matters little."""
MIN_WORD_CONFIDENCE = 40.0
"""Percent. Words below it are mostly lines and spots."""
MIN_PAGE_CONFIDENCE = 50.0
"""Percent. A page below it is a picture, or in a script that the engine does not know."""
MIN_LETTERS = 3
MAX_OCR_PAGES = 200
"""Pages of one document that are recognised."""
OCR_PAGE_S = 60
"""Seconds one page may take."""
OCR_BATCH_S = 120
"""Seconds the scans of one batch may take; pages that are left wait for the next batch."""


@dataclass(frozen=True, slots=True)
class OcrWord:
    """One word as the engine reports it.

    Attributes:
        paragraph: number of its paragraph on the page; words of one paragraph are consecutive.
        line: number of its line within the paragraph.
        confidence: percent.
    """

    text: str
    paragraph: int
    line: int
    confidence: float


@dataclass(frozen=True, slots=True)
class OcrPage:
    """The text recognised on one page.

    Attributes:
        text: lines and paragraphs; ``""`` if nothing readable was found.
        confidence: average over its characters, in percent.
    """

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class OcrResult:
    """How the text of a scanned document was recognised.

    Attributes:
        engine: name, version and languages, e.g. ``"tesseract 5.3.0 rus+eng"``.
        pages: page number -> confidence in percent, for the pages with recognised text.
        unread: page number -> error code, for pages that show something and could not be read.
        cache_keys: fingerprints of the cached pages it was built from.
    """

    engine: str
    pages: Mapping[int, float]
    unread: Mapping[int, str] = field(default_factory=dict)
    cache_keys: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """What is stored and shown with the document, as plain JSON values; confidence in percent."""
        return {
            "engine": self.engine,
            "pages": len(self.pages),
            "confidence": round(sum(self.pages.values()) / len(self.pages), 1) if self.pages else None,
            "unread": {str(number): code for number, code in sorted(self.unread.items())},
        }


def build_page(words: list[OcrWord]) -> OcrPage:
    """Return the text of a page without low-confidence words; no text at all if the whole page looks like noise."""
    length = sum(len(word.text) for word in words)
    confidence = sum(word.confidence * len(word.text) for word in words) / length if length else 0.0
    confident = [word for word in words if word.confidence >= MIN_WORD_CONFIDENCE]
    letters = sum(char.isalpha() for word in confident for char in word.text)
    if confidence < MIN_PAGE_CONFIDENCE or letters < MIN_LETTERS:
        return OcrPage("", round(confidence, 1))
    return OcrPage(_lay_out(confident), round(confidence, 1))


def _lay_out(words: list[OcrWord]) -> str:
    paragraphs: dict[int, dict[int, list[str]]] = {}
    for word in words:
        paragraphs.setdefault(word.paragraph, {}).setdefault(word.line, []).append(word.text)
    return "\n\n".join("\n".join(" ".join(line) for line in lines.values()) for lines in paragraphs.values())
