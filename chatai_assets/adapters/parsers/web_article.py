"""Reads the main article of a web page, without the content around it."""

from __future__ import annotations

from pathlib import Path

import trafilatura
from lxml import etree

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.html import detect_html_codec, read_html
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.documents import ParsedDocument


def read_page(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return the article of a page as trafilatura finds it; if it finds none, all text but the navigation.

    Comments are left out: other people wrote them.

    Raises:
        UnreadableDocument: ``no_text``, ``too_much_text``, ``corrupt``.
    """
    codec = detect_html_codec(path)
    source = path.read_text(encoding=codec.name, errors=codec.errors)
    tree = trafilatura.load_html(source)
    text = None if tree is None else trafilatura.extract(tree, include_comments=False, fast=True)
    if not text:
        return read_html(path, limits)
    document = DocumentBuilder(limits)
    for line in text.splitlines():
        document.paragraph(line)
    return document.finish("html", page_title(tree))


def page_title(tree: etree._Element) -> str:
    """Return the title of a page: its Open Graph title, otherwise its ``<title>``."""
    title = tree.xpath("string(//meta[@property='og:title']/@content)") or tree.xpath("string(//title)")
    return str(title)
