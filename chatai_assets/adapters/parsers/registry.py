"""One file -> ParsedDocument, in this process. Files of strangers are read through ``sandbox`` instead."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from chatai_assets.adapters.parsers.file_type import detect_file_type
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument

Reader = Callable[[Path, ParserLimits], ParsedDocument]

# Imported when first needed: pandas alone takes a second, and most children never meet a table.
READERS = {
    "pdf": ("pdf", "read_pdf"),
    "docx": ("docx", "read_docx"),
    "text": ("plain_text", "read_plain"),
    "markdown": ("markdown", "read_markdown"),
    "html": ("html", "read_html"),
    "page": ("web_article", "read_page"),
    "csv": ("csv_table", "read_csv"),
    "xlsx": ("xlsx", "read_xlsx"),
    **dict.fromkeys(("png", "jpeg", "tiff", "webp"), ("image", "read_image")),
}


def read_document(path: Path, name: str, limits: ParserLimits, known_format: str | None = None) -> ParsedDocument:
    """Return what a file says.

    Args:
        path: where its bytes are.
        name: what its owner called it.
        limits: what it may cost; memory and time are the sandbox's.
        known_format: a key of ``READERS``, where it is known; None looks at the bytes.

    Raises:
        UnreadableDocument: with a code of ``domain.documents.FAULTS``; hostile files may raise anything else too.
    """
    try:
        size = path.stat().st_size
        if size > limits.max_file_bytes:
            raise UnreadableDocument("too_large", f"{size} bytes, at most {limits.max_file_bytes}")
        document_format = known_format or detect_file_type(path, name)
    except OSError as error:
        raise UnreadableDocument("missing", type(error).__name__) from error
    return reader_of(document_format)(path, limits)


def reader_of(document_format: str) -> Reader:
    """Return the function that reads a format."""
    module, function = READERS[document_format]
    reader: Reader = getattr(import_module(f"chatai_assets.adapters.parsers.{module}"), function)
    return reader
