"""Reads plain text files."""

from __future__ import annotations

import re
from pathlib import Path

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.encodings import open_text
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument

BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
LINE_ENDS = re.compile(r"\r\n?")


def read_plain(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return a text file in any encoding that ``encodings`` can detect; blank lines separate paragraphs.

    Raises:
        UnreadableDocument: ``too_much_text``, ``no_text``.
    """
    document = DocumentBuilder(limits)
    for paragraph in BLANK_LINES.split(read_text(path, limits)):
        document.paragraph(paragraph)
    return document.finish("text")


def read_text(path: Path, limits: ParserLimits) -> str:
    """Return the decoded text with ``\\n`` line ends, reading at most up to the limit.

    Raises:
        UnreadableDocument: ``too_much_text``.
    """
    with open_text(path) as stream:
        text = stream.read(limits.max_text_chars + 1)
    if len(text) > limits.max_text_chars:
        raise UnreadableDocument("too_much_text", f"more than {limits.max_text_chars} characters")
    return LINE_ENDS.sub("\n", text.replace("\x00", ""))
