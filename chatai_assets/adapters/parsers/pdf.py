"""Reads the text layer of PDF page by page, with pypdf."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, DeprecationError, LimitReachedError, PyPdfError
from pypdf.generic import Destination

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder, one_line
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument

# Exceptions that pypdf raises on a damaged page. Memory errors are not among them: they fail the document.
DAMAGE = (
    PyPdfError,
    DependencyError,
    DeprecationError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
MAX_NOTES = 20
MAX_OUTLINE = 2_000
PROGRAM_PREFIX = re.compile(r"^Microsoft (?:Word|PowerPoint|Excel) - ")
PLACEHOLDER_TITLE = re.compile(
    r"^(?:untitled|без имени|документ\d*|document\d*|\(anonymous\)|.*\.\w{2,4})$", re.IGNORECASE
)


def read_pdf(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return the text layer of a PDF; ``notes`` names damaged pages, ``scans`` pages that have content but no text.

    Raises:
        UnreadableDocument: ``encrypted``, ``corrupt``, ``no_text_layer``, ``no_text`` (no pages),
            ``too_many_pages``, ``archive_bomb``, ``too_much_text``.
    """
    with path.open("rb") as stream:
        reader = open_pdf(stream)
        count = count_pages(reader, limits)
        document = DocumentBuilder(limits)
        damaged: dict[int, BaseException] = {}
        starts: list[int] = []
        scans: list[int] = []
        for number, page in enumerate(reader.pages, start=1):
            text, error = extract_text(page)
            if error is not None:
                damaged[number] = error
            elif not any(map(str.isalnum, text)) and has_content(page):
                scans.append(number)
            starts.append(document.page(number, text))
            for url in page_links(page):
                document.link(url)
        if not document.has_text and not scans:
            raise no_text_error(count, damaged)
        for number in list(damaged)[:MAX_NOTES]:
            document.note(f"page {number} is damaged and was left out")
        title = document_title(reader)
        return add_outline(document, reader, starts).finish("pdf", title, scans)


def open_pdf(stream: BinaryIO) -> PdfReader:
    """Return a reader of the file, decrypted if the empty password is enough.

    Raises:
        UnreadableDocument: ``encrypted``, ``corrupt``, ``archive_bomb``.
    """
    try:
        reader = PdfReader(stream)
        locked = reader.is_encrypted and not reader.decrypt("")
    except DAMAGE as error:
        raise pdf_error(error) from error
    if locked:
        raise UnreadableDocument("encrypted", "a PDF that needs a password")
    return reader


def count_pages(reader: PdfReader, limits: ParserLimits) -> int:
    """Return the real number of pages, whatever ``/Count`` declares.

    Raises:
        UnreadableDocument: ``too_many_pages``, ``corrupt``.
    """
    try:
        count = len(reader.pages)
    except LimitReachedError as error:
        raise UnreadableDocument("too_many_pages", "page tree beyond the limit of pypdf") from error
    except DAMAGE as error:
        raise pdf_error(error) from error
    if count > limits.max_pages:
        raise UnreadableDocument("too_many_pages", f"{count} pages, at most {limits.max_pages}")
    return count


def pdf_error(error: BaseException) -> UnreadableDocument:
    """Return the error of the whole file for a library error, without its message, which may quote the document."""
    bomb = isinstance(error, LimitReachedError) and "decompress" in str(error)
    code = "archive_bomb" if bomb else "corrupt"
    return UnreadableDocument(code, type(error).__name__)


def no_text_error(pages: int, damaged: dict[int, BaseException]) -> UnreadableDocument:
    """Return the error for a PDF without any text."""
    if pages == 0:
        return UnreadableDocument("no_text", "a PDF without pages")
    if len(damaged) == pages:
        return pdf_error(damaged[1])
    return UnreadableDocument("no_text_layer", f"{pages} pages")


def extract_text(page: PageObject) -> tuple[str, BaseException | None]:
    """Return the text of a page, or ``""`` and the error if it is damaged."""
    try:
        return page.extract_text(), None
    except DAMAGE as error:
        return "", error


def has_content(page: PageObject) -> bool:
    """Return whether anything is drawn on a page; a damaged page counts as empty."""
    try:
        contents = page.get_contents()
        return contents is not None and bool(contents.get_data().strip())
    except DAMAGE:
        return False


def page_links(page: PageObject) -> list[str]:
    """Return the URIs of link annotations on a page; none if the annotation list is damaged."""
    try:
        return [str(uri) for uri in map(annotation_uri, page.annotations or []) if uri]
    except DAMAGE:
        return []


def annotation_uri(annotation: Any) -> Any:
    """Return the URI of one annotation; None if it is not a link."""
    action = annotation.get_object().get("/A")
    return action.get_object().get("/URI") if action is not None else None


def document_title(reader: PdfReader) -> str | None:
    """Return the title from the metadata, unless it is a placeholder written by a program."""
    try:
        title = one_line((reader.metadata and reader.metadata.title) or "")
    except DAMAGE:
        return None
    title = PROGRAM_PREFIX.sub("", title)
    return None if PLACEHOLDER_TITLE.match(title) else title or None


def add_outline(document: DocumentBuilder, reader: PdfReader, starts: list[int]) -> DocumentBuilder:
    """Add the bookmarks as sections where their titles occur on their pages; others are left out."""
    try:
        entries = list(iter_outline(reader))
    except DAMAGE:
        return document
    for level, title, page in entries:
        if 0 <= page < len(starts):
            start = document.find(title, starts[page])
            if start is not None:
                document.section(level, title, start)
    return document


def iter_outline(reader: PdfReader) -> Iterator[tuple[int, str, int]]:
    """Yield level, title and 0-based page of each bookmark, at most ``MAX_OUTLINE``."""
    pending: list[tuple[int, Any]] = [(1, entry) for entry in reversed(reader.outline)]
    seen = 0
    while pending and seen < MAX_OUTLINE:
        level, entry = pending.pop()
        if isinstance(entry, list):
            pending.extend((level + 1, child) for child in reversed(entry))
        elif isinstance(entry, Destination):
            seen += 1
            page = reader.get_destination_page_number(entry)
            if entry.title and page is not None:
                yield level, one_line(entry.title), page
