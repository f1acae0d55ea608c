"""Reads HTML as a stream of tags: no tree is built, so that large pages need little memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin

from lxml import etree

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.encodings import BLOCK_BYTES, Codec, detect_codec, detect_codec_by_mark
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument

HEAD_BYTES = 4096
CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w-]{1,40})""", re.IGNORECASE)
IGNORED_TAGS = frozenset(
    [
        *("script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas", "audio"),
        *("video", "select", "button", "datalist", "textarea"),
    ]
)
NAVIGATION = frozenset({"nav", "menu", "dialog"})
NAVIGATION_ROLES = frozenset({"navigation", "menu", "menubar", "search", "dialog"})
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCKS = frozenset(
    [
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl"),
        *("dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "li", "main", "ol", "p"),
        *("pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"),
    ]
)
CELLS = frozenset({"td", "th"})
CELL_GAP = " | "
BULLET = "- "
LISTS = frozenset({"ul", "ol"})
MAX_LIST_CHARS = 2_000
INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
SPACE = re.compile(r"[ \t\r\n\f]+")


def read_html(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return the text of a page without scripts, styles and navigation; a page of navigation only keeps it.

    Raises:
        UnreadableDocument: ``no_text``, ``too_much_text``, ``corrupt``.
    """
    codec = detect_html_codec(path)
    try:
        return parse_with(path, codec, PageWriter(limits, NAVIGATION))
    except UnreadableDocument as fault:
        if fault.reason != "no_text":
            raise
    return parse_with(path, codec, PageWriter(limits, frozenset()))


def parse_with(path: Path, codec: Codec, writer: PageWriter) -> ParsedDocument:
    """Parse a file with a writer as the parser's target and return the writer's document."""
    parser = etree.HTMLParser(target=writer, encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        with path.open(encoding=codec.name, errors=codec.errors, newline="") as stream:
            while block := stream.read(BLOCK_BYTES):
                parser.feed(block.replace("\x00", "").encode("utf-8", "replace"))
        document: ParsedDocument = parser.close()
    except (etree.LxmlError, AssertionError) as error:
        raise UnreadableDocument("corrupt", f"unreadable HTML ({type(error).__name__})") from error
    return document


def detect_html_codec(path: Path) -> Codec:
    """Return how to decode a page: byte order mark, valid UTF-8, declared charset, or a guess from its letters.

    Pages that wrongly declare UTF-8 are common, so a declaration counts only if the bytes do not contradict it.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    marked = detect_codec_by_mark(head)
    if marked is not None:
        return marked
    detected = detect_codec(path)
    declared = CHARSET.search(head)
    if detected.name == "utf-8" or declared is None:
        return detected
    name = declared[1].decode("ascii", "replace").lower()
    try:
        "".encode(name)
    except LookupError:
        return detected
    return detected if name.replace("-", "").startswith("utf") else Codec(name)


class PageWriter:
    """Target of lxml's parser, which calls it for every tag and text of a page.

    Args:
        limits: limits of the document.
        dropped: tags to leave out in addition to those that never hold text.
    """

    def __init__(self, limits: ParserLimits, dropped: frozenset[str]) -> None:
        self._document = DocumentBuilder(limits)
        self._drops_navigation = bool(dropped)
        self._dropped = IGNORED_TAGS | dropped
        self._parts: list[str] = []
        self._title: list[str] = []
        self._open: list[str] = []
        self._ignored_depth = 0
        self._heading: int | None = None
        self._row_depth = 0
        self._lists = 0
        self._preformatted = 0
        self._base = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Handle an opening tag."""
        if self._ignored_depth or self._is_dropped(tag, attributes):
            self._ignored_depth += 1
            return
        self._open.append(tag)
        self._add_link(tag, attributes)
        if tag in HEADINGS:
            self._flush()
            self._heading = HEADINGS[tag]
        elif tag in CELLS:
            self._open_cell()
        elif tag in BLOCKS:
            self._open_block(tag)
        elif tag == "br":
            self._parts.append("\n")
        self._lists += tag in LISTS
        self._preformatted += tag == "pre"

    def end(self, tag: str) -> None:
        """Handle a closing tag, written or implied."""
        if self._ignored_depth:
            self._ignored_depth -= 1
            return
        if self._open:
            self._open.pop()
        self._lists -= tag in LISTS
        self._preformatted -= tag == "pre"
        if tag in HEADINGS:
            self._flush()
        elif tag == "tr":
            while self._parts and not self._parts[-1].strip(" |\n"):
                self._parts.pop()
            self._flush()
            self._row_depth = max(0, self._row_depth - 1)
        elif tag in BLOCKS:
            self._break()

    def data(self, text: str) -> None:
        """Handle text between tags."""
        if self._ignored_depth:
            return
        if self._open and self._open[-1] == "title":
            self._title.append(text)
        elif self._preformatted:
            self._parts.append(text)
        else:
            words = SPACE.sub(" ", text)
            words = words.lstrip(" ") if self._at_line_start() else words
            if words:
                self._parts.append(words)

    def close(self) -> ParsedDocument:
        """Return the document at the end of the file."""
        self._flush()
        return self._document.finish("html", "".join(self._title))

    def _is_dropped(self, tag: str, attributes: Mapping[str, str]) -> bool:
        if tag in self._dropped:
            return True
        if tag in ("html", "body", "main"):
            return False
        role = attributes.get("role", "")
        invisible = "hidden" in attributes or INVISIBLE.search(attributes.get("style", "")) is not None
        return invisible or (self._drops_navigation and role in NAVIGATION_ROLES)

    def _add_link(self, tag: str, attributes: Mapping[str, str]) -> None:
        address = attributes.get("href", "")
        if tag == "base":
            self._base = address
        elif tag == "a" and address:
            try:
                self._document.link(urljoin(self._base, address))
            except ValueError:
                return  # not a URL

    def _open_cell(self) -> None:
        self._drop_tail()
        if self._parts:
            self._parts.append(CELL_GAP)

    def _open_block(self, tag: str) -> None:
        if tag == "tr":
            self._flush()
            self._row_depth += 1
            return
        self._break()
        if tag == "li":
            self._parts.append("  " * (self._lists - 1) + BULLET)

    def _break(self) -> None:
        """End the block; within a table row or a list only the line, so that these stay in one block."""
        if not self._row_depth and (not self._lists or sum(map(len, self._parts)) > MAX_LIST_CHARS):
            self._flush()
        elif not self._at_line_start():
            self._parts.append("\n")

    def _at_line_start(self) -> bool:
        return not self._parts or self._parts[-1].endswith(("\n", CELL_GAP, BULLET))

    def _drop_tail(self) -> None:
        """Remove trailing blanks of a cell."""
        while self._parts and not self._parts[-1].rstrip():
            self._parts.pop()
        if self._parts and self._parts[-1] != CELL_GAP:
            self._parts[-1] = self._parts[-1].rstrip()

    def _flush(self) -> None:
        text = "".join(self._parts)
        self._parts = []
        level, self._heading = self._heading, None
        if level is not None:
            self._document.heading(level, text)
        elif text.strip(" \n-"):
            self._document.paragraph(text)
