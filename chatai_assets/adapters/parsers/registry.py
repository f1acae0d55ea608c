"""Reads one file in this process. Untrusted files are read through ``sandbox`` instead."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from chatai_assets.adapters.parsers.file_type import detect_file_type
from chatai_assets.adapters.parsers.formats import FORMATS_BY_NAME
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument

Reader = Callable[[Path, ParserLimits], ParsedDocument]


def read_document(path: Path, name: str, limits: ParserLimits, known_format: str | None = None) -> ParsedDocument:
    """Return the text and structure of a file.

    Args:
        path: where its bytes are.
        name: its original name.
        limits: what it may cost; the sandbox enforces memory and time.
        known_format: a key of ``FORMATS_BY_NAME`` where it is known; None detects it from the bytes.

    Raises:
        UnreadableDocument: with a code of ``domain.documents.FAULTS``. Hostile files may raise any other exception.
    """
    try:
        size = path.stat().st_size
        if size > limits.max_file_bytes:
            raise UnreadableDocument("too_large", f"{size} bytes, at most {limits.max_file_bytes}")
        document_format = known_format or detect_file_type(path, name)
    except OSError as error:
        raise UnreadableDocument("missing", type(error).__name__) from error
    return find_reader(document_format)(path, limits)


def find_reader(document_format: str) -> Reader:
    """Return the function that reads a format."""
    spec = FORMATS_BY_NAME[document_format]
    reader: Reader = getattr(import_module(f"chatai_assets.adapters.parsers.{spec.module}"), spec.reader)
    return reader
