"""Safety checks of an Office archive (DOCX, XLSX) before a library opens it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any
from xml.parsers import expat

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.errors import UnreadableDocument

SMALL_ENTRY_BYTES = 2**20
BLOCK_BYTES = 2**14
XML_SUFFIXES = (".xml", ".rels", ".vml")


class PrologRead(Exception):
    """The root element was reached: no document type declaration can follow."""


def check_archive(path: Path, limits: ParserLimits) -> None:
    """Refuse archives that could exhaust memory or attack an XML parser.

    Raises:
        UnreadableDocument: ``archive_bomb`` (entries, size or ratio), ``encrypted``, ``forbidden_xml``, ``corrupt``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive.infolist(), limits)
            for entry in archive.infolist():
                if entry.filename.lower().endswith(XML_SUFFIXES):
                    check_prolog(archive, entry)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise UnreadableDocument("corrupt", f"damaged zip archive ({type(error).__name__})") from error


def check_sizes(entries: list[zipfile.ZipInfo], limits: ParserLimits) -> None:
    """Refuse by the sizes in the archive's directory; ``zipfile`` never inflates more than these."""
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnreadableDocument("encrypted", "a zip archive with encrypted entries")
    if len(entries) > limits.max_archive_entries:
        raise UnreadableDocument("archive_bomb", f"{len(entries)} entries in the archive")
    total = sum(entry.file_size for entry in entries)
    if total > limits.max_archive_bytes:
        raise UnreadableDocument("archive_bomb", f"inflates to {total} bytes")
    for entry in entries:
        if entry.file_size > max(SMALL_ENTRY_BYTES, limits.max_archive_ratio * entry.compress_size):
            raise UnreadableDocument(
                "archive_bomb", f"an entry inflates {entry.file_size // max(1, entry.compress_size)} times"
            )


def check_prolog(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Refuse a part with a document type declaration: entity bombs and external entities need one, and ECMA-376
    part 2, 8.4.2 forbids it. Only the beginning of the part is read."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler = end_prolog
    with archive.open(entry) as stream:
        try:
            while block := stream.read(BLOCK_BYTES):
                parser.Parse(block, False)  # noqa: FBT003 (expat takes no keywords)
        except PrologRead:
            return
        except expat.ExpatError:
            return  # the library that reads the part reports the error; unread parts do not matter


def refuse_doctype(*_: Any) -> None:
    """Refuse the archive; called by expat at ``<!DOCTYPE``."""
    raise UnreadableDocument("forbidden_xml", "a document type declaration")


def end_prolog(*_: Any) -> None:
    """Stop parsing; called by expat at the root element."""
    raise PrologRead
