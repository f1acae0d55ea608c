"""Builds a ParsedDocument with exact offsets from blocks of text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.documents import Page, ParsedDocument, Section
from chatai_assets.domain.errors import UnreadableDocument
from chatai_assets.domain.text.normalize import find_links, normalise

GAP = "\n\n"
TRAILING_BLANKS = re.compile(r"[ \t\u00a0]+(?=\n)")
BLANK_LINE_RUNS = re.compile(r"\n{3,}")
MAX_TITLE_CHARS = 300


def tidy(text: str) -> str:
    """Return ``text`` normalised, without trailing blanks and with at most one blank line in a row."""
    return BLANK_LINE_RUNS.sub(GAP, TRAILING_BLANKS.sub("", normalise(text)))


def one_line(text: str) -> str:
    """Return ``text`` normalised, with every run of white space replaced by one space."""
    return " ".join(normalise(text).split())


class DocumentBuilder:
    """Builds a document block by block.

    Blocks are normalised one at a time and separated by a blank line, so that an offset returned while building is the
    offset in the finished text.

    Args:
        limits: ``max_text_chars`` and ``max_links`` are enforced here, for every format.
    """

    def __init__(self, limits: ParserLimits) -> None:
        self._limits = limits
        self._blocks: list[str] = []
        self._length = 0
        self._starts: dict[int, int] = {}
        self._pages: list[Page] = []
        self._sections: list[Section] = []
        self._links: dict[str, None] = {}
        self._notes: list[str] = []

    def paragraph(self, text: str) -> int:
        """Append one block and return its offset; blocks without visible characters are dropped.

        Raises:
            UnreadableDocument: ``too_much_text``.
        """
        block = tidy(text)
        start = self._length + (len(GAP) if self._blocks else 0)
        if not block:
            return start
        self._starts[start] = len(self._blocks)
        self._blocks.append(block)
        self._length = start + len(block)
        if self._length > self._limits.max_text_chars:
            raise UnreadableDocument("too_much_text", f"more than {self._limits.max_text_chars} characters")
        return start

    def heading(self, level: int, title: str) -> None:
        """Append a heading as its own block."""
        line = one_line(title)
        if line:
            self._sections.append(Section(level=level, title=line[:MAX_TITLE_CHARS], start=self.paragraph(line)))

    def page(self, number: int, text: str) -> int:
        """Append one page, empty or not, and return the offset of its text."""
        before = self._length
        start = self.paragraph(text)
        if self._length == before:
            start = before
        self._pages.append(Page(number=number, start=start, end=self._length))
        return start

    def section(self, level: int, title: str, start: int) -> None:
        """Mark an offset of the text so far as the start of a section."""
        self._sections.append(Section(level=level, title=title[:MAX_TITLE_CHARS], start=start))

    def find(self, words: str, start: int) -> int | None:
        """Return the offset of ``words`` in the block at ``start``; None if the block does not contain them."""
        block = self._starts.get(start)
        if block is None:
            return None
        offset = self._blocks[block].find(words)
        return start + offset if offset >= 0 else None

    def link(self, url: str) -> None:
        """Add an absolute http(s) URL; anything else is ignored."""
        address = url.strip()
        if address[:8].lower().startswith(("http://", "https://")) and len(self._links) < self._limits.max_links:
            self._links.setdefault(address)

    def note(self, remark: str) -> None:
        """Add a remark on something that could not be read."""
        self._notes.append(remark)

    @property
    def has_text(self) -> bool:
        """Whether any letter or digit was added: dashes and bullets alone are not text."""
        return any(character.isalnum() for block in self._blocks for character in block)

    def finish(self, document_format: str, title: str | None = None, scans: Sequence[int] = ()) -> ParsedDocument:
        """Return the document.

        Args:
            document_format: as in ``ParsedDocument.format``.
            title: from the file's metadata; the first heading if empty.
            scans: numbers of pages for OCR; a document that has any may be without text.

        Raises:
            UnreadableDocument: ``no_text``.
        """
        if not self.has_text and not scans:
            raise UnreadableDocument("no_text", f"{document_format} without text")
        text = GAP.join(self._blocks)
        for url in find_links(text):
            self.link(url)
        sections = tuple(sorted(self._sections, key=lambda section: section.start))
        name = one_line(title or "")[:MAX_TITLE_CHARS] or (sections[0].title if sections else None)
        return ParsedDocument(
            text=text,
            format=document_format,
            title=name,
            pages=tuple(self._pages),
            sections=sections,
            links=tuple(self._links),
            notes=tuple(self._notes),
            scans=tuple(scans),
        )
