"""What a parsed document is, and what can be wrong with one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a parsed document.

    Attributes:
        number: 1-based, as a reader counts.
        start: offset of its first character in the parsed text.
        end: offset after its last character.
    """

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and where it stands.

    Attributes:
        level: 1 for the outermost.
        title: the heading's words.
        start: offset of the heading in the parsed text.
    """

    level: int
    title: str
    start: int


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """Text of a document with its structure; all offsets are in Python characters of ``text``.

    Attributes:
        text: normalised (NFC, ``\\n`` line ends, no NUL or other control characters, paragraphs parted by a blank line).
        format: ``pdf docx text markdown html csv xlsx``.
        title: from the file's own metadata or first heading; None where there is none.
        pages: empty for formats without pages.
        sections: in the order of the text.
        links: absolute http(s) URLs, each once.
    """

    text: str
    format: str
    title: str | None = None
    pages: tuple[Page, ...] = ()
    sections: tuple[Section, ...] = ()
    links: tuple[str, ...] = ()
