"""Reads Markdown: its text without markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.plain_text import read_text
from chatai_assets.domain.documents import ParsedDocument

FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
TITLE_FIELD = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>|\{/\*.*?\*/\}", re.DOTALL)
HEADING_ID = re.compile(r"\s*(?:\{#[\w-]+\}|\{/\*.*?\*/\})\s*$")
HREF = re.compile(r"""href\s*=\s*["'](https?://[^"'\s]+)["']""", re.IGNORECASE)
CELL_GAP = " | "


def read_markdown(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return a CommonMark text with tables; headings become sections, the front matter's ``title`` the title.

    Raises:
        UnreadableDocument: ``too_much_text``, ``no_text``.
    """
    text = read_text(path, limits)
    front = FRONT_MATTER.match(text)
    title = TITLE_FIELD.search(front[1]) if front else None
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text[front.end() if front else 0 :])
    writer = BlockWriter(DocumentBuilder(limits))
    for token in tokens:
        writer.write(token)
    writer.flush()
    for url in iter_links(tokens):
        writer.document.link(url)
    return writer.document.finish("markdown", title[1].strip("\"'") if title else None)


class BlockWriter:
    """Writes Markdown tokens to a document; tight list items and table rows become lines of one block."""

    def __init__(self, document: DocumentBuilder) -> None:
        self.document = document
        self._lines: list[str] = []
        self._row: list[str] | None = None
        self._marker = ""
        self._heading = 0
        self._lists = 0

    def write(self, token: Token) -> None:
        """Write the next token."""
        if token.type in ("heading_open", "table_open") or (token.type == "paragraph_open" and not token.hidden):
            self.flush()
            self._heading = int(token.tag[1:]) if token.type == "heading_open" else 0
        elif token.type.endswith("_list_open") or token.type.endswith("_list_close"):
            self._lists += token.nesting
        elif token.type == "list_item_open":
            self._marker = "  " * (self._lists - 1) + (f"{token.info}. " if token.info else "- ")
        elif token.type == "tr_open":
            self._row = []
        elif token.type == "tr_close":
            self._lines.append(CELL_GAP.join(self._row or ()).strip())
            self._row = None
        elif token.nesting == 0:
            self._write(token)
        if token.level == 0 and token.nesting < 1:
            self.flush()

    def flush(self) -> None:
        """End the block."""
        self.document.paragraph("\n".join(self._lines))
        self._lines.clear()

    def _write(self, token: Token) -> None:
        text = token_text(token)
        if self._heading:
            self.document.heading(self._heading, HEADING_ID.sub("", text))
            self._heading = 0
        elif self._row is not None:
            self._row.append(text)
        elif text.strip():
            self._lines.append(self._marker + text.strip("\n"))
            self._marker = ""


def token_text(token: Token) -> str:
    """Return the text of a token without markup, tags and comments; a picture's text is its description."""
    if token.type == "html_block":
        return TAG.sub(" ", token.content)
    if token.type != "inline":
        return token.content
    return "".join(map(inline_text, token.children or ()))


def inline_text(token: Token) -> str:
    """Return the text of one inline token; soft line breaks become spaces."""
    if token.type == "softbreak":
        return " "
    if token.type == "hardbreak":
        return "\n"
    return "" if token.type == "html_inline" else token.content


def iter_links(tokens: Iterable[Token]) -> Iterator[str]:
    """Yield the targets of links, written in Markdown or as HTML tags."""
    for token in tokens:
        if token.type == "link_open":
            yield str(token.attrGet("href") or "")
        elif token.type in ("html_block", "html_inline"):
            yield from HREF.findall(token.content)
        yield from iter_links(token.children or ())
