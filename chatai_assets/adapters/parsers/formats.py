"""Table of the formats that documents may have: how each is recognised and which reader parses it.

A new format is a reader module in this package and a row here. ``domain.documents.FAULTS`` lists the readable formats
for people.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

FormatKind = Literal["binary", "text", "image"]


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """One format: how it is recognised and read.

    Attributes:
        name: as in ``ParsedDocument.format``, e.g. ``"docx"``.
        module: the module of this package that reads it. It is imported on first use: pandas alone takes a second,
            and most parser workers never meet a table.
        reader: the function in ``module``, of type ``registry.Reader``.
        kind: ``text`` formats differ by suffix and content only, every other format has a signature or content types.
        suffixes: of file names, lower case. A file named like a binary format without its content is corrupt;
            a text is read as the format its name says.
        signature: matches the beginning of a file of this format.
        content_types: parts of the content type of an Office archive's main part, lower case.
        main_part: path of the main part, for Office archives that declare no content type.
    """

    name: str
    module: str
    reader: str
    kind: FormatKind = "binary"
    suffixes: tuple[str, ...] = ()
    signature: re.Pattern[bytes] | None = None
    content_types: tuple[str, ...] = ()
    main_part: str | None = None


def _image(name: str, signature: bytes) -> FormatSpec:
    return FormatSpec(name, "image", "read_image", kind="image", signature=re.compile(signature, re.DOTALL))


FORMATS = (
    # The specification allows other bytes before the header, within the first kilobyte.
    FormatSpec("pdf", "pdf", "read_pdf", suffixes=(".pdf",), signature=re.compile(rb".{0,1019}?%PDF-", re.DOTALL)),
    FormatSpec(
        "docx",
        "docx",
        "read_docx",
        suffixes=(".docx",),
        content_types=(
            "wordprocessingml.document.main+xml",
            "wordprocessingml.template.main+xml",
            "ms-word.document.macroenabled.main+xml",
            "ms-word.template.macroenabledtemplate.main+xml",
        ),
        main_part="word/document.xml",
    ),
    FormatSpec(
        "xlsx",
        "xlsx",
        "read_xlsx",
        suffixes=(".xlsx",),
        content_types=(
            "spreadsheetml.sheet.main+xml",
            "spreadsheetml.template.main+xml",
            "ms-excel.sheet.macroenabled.main+xml",
        ),
        main_part="xl/workbook.xml",
    ),
    FormatSpec("text", "plain_text", "read_plain", kind="text", suffixes=(".txt", ".text", ".log")),
    FormatSpec("markdown", "markdown", "read_markdown", kind="text", suffixes=(".md", ".markdown")),
    FormatSpec("csv", "csv_table", "read_csv", kind="text", suffixes=(".csv", ".tsv")),
    FormatSpec("html", "html", "read_html", kind="text", suffixes=(".html", ".htm", ".xhtml")),
    # Web pages are known to be pages before they are read; their documents have the format ``html``.
    FormatSpec("page", "web_article", "read_page", kind="text"),
    _image("png", rb"\x89PNG"),
    _image("jpeg", rb"\xff\xd8\xff"),
    _image("tiff", rb"II\*\x00|MM\x00\*"),
    _image("webp", rb"RIFF....WEBP"),
)
FORMATS_BY_NAME = {spec.name: spec for spec in FORMATS}
BINARY_SUFFIXES = frozenset(suffix for spec in FORMATS if spec.kind == "binary" for suffix in spec.suffixes)
HTML_SUFFIXES = frozenset(FORMATS_BY_NAME["html"].suffixes)
TEXT_SUFFIXES = {
    suffix: spec.name for spec in FORMATS if spec.kind == "text" and spec.name != "html" for suffix in spec.suffixes
}
"""Suffix -> format. HTML is absent: its suffix is believed only where there are tags."""
