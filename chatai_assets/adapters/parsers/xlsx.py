"""Reads XLSX row by row.

openpyxl is the engine that pandas uses; used directly it streams, while pandas loads a whole sheet.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, time
from itertools import chain
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.ooxml import check_archive
from chatai_assets.adapters.parsers.tables import write_rows
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument

# A formula element followed by an empty value or by the end of its cell.
UNCALCULATED = re.compile(rb"(?:</(?:\w+:)?f>|<(?:\w+:)?f(?: [^<>]*)?/>)\s*(?:<(?:\w+:)?v(?:\s*/>|></)|</(?:\w+:)?c>)")
BLOCK_BYTES = 2**20
OVERLAP_BYTES = 2**10
DAMAGE = (
    zipfile.BadZipFile,
    InvalidFileException,
    ParseError,
    OSError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
)


def read_xlsx(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return all sheets of a workbook, each a section; a formula is shown as its value, or as itself without one.

    Raises:
        UnreadableDocument: ``archive_bomb``, ``encrypted``, ``forbidden_xml``, ``corrupt``, ``no_text``,
            ``too_much_text``.
    """
    check_archive(path, limits)
    document = DocumentBuilder(limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl names what it does not keep when writing; nothing is written
            write_workbook(document, path, limits)
    except DAMAGE as error:
        raise UnreadableDocument("corrupt", f"not a workbook inside ({type(error).__name__})") from error
    return document.finish("xlsx")


def write_workbook(document: DocumentBuilder, path: Path, limits: ParserLimits) -> None:
    """Write every sheet that has rows; chart sheets have none."""
    # By their bytes: given a path, openpyxl refuses names that do not end as it expects, and uploads have none.
    with path.open("rb") as bytes_of_values, path.open("rb") as bytes_of_formulas:
        _write_sheets(document, bytes_of_values, bytes_of_formulas, limits)


def _write_sheets(
    document: DocumentBuilder, bytes_of_values: IO[bytes], bytes_of_formulas: IO[bytes], limits: ParserLimits
) -> None:
    values = load_workbook(bytes_of_values, read_only=True, data_only=True, keep_links=False)
    formulas = None
    rows: Iterator[Sequence[Any]]
    left = limits.max_rows
    for sheet in values.worksheets:
        if has_uncalculated_formulas(sheet):
            formulas = formulas or load_workbook(bytes_of_formulas, read_only=True, keep_links=False)
            rows = merged_rows(sheet, formulas[sheet.title])
        else:
            rows = iter_rows(sheet)
        texts = (list(map(cell_text, row)) for row in rows)
        filled = (row for row in texts if any(row))
        first = next(filled, None)
        if first is not None:
            document.heading(1, sheet.title)
            left -= write_rows(document, chain([first], filled), limits, max_rows=left)


def iter_rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a sheet as wide as they really are: the size that a sheet declares is often wrong."""
    sheet.reset_dimensions()
    rows: Iterator[tuple[Any, ...]] = sheet.iter_rows(values_only=True)
    return rows


def has_uncalculated_formulas(sheet: Any) -> bool:
    """Return whether a sheet has formulas without values; this cheap check saves most workbooks a second pass."""
    with sheet.parent._archive.open(sheet._worksheet_path) as stream:  # noqa: SLF001 (openpyxl has no public way to a part)
        tail = b""
        while block := stream.read(BLOCK_BYTES):
            if UNCALCULATED.search(tail + block):
                return True
            tail = block[-OVERLAP_BYTES:]
    return False


def merged_rows(values: Any, formulas: Any) -> Iterator[list[Any]]:
    """Yield rows of stored values, with the formula itself where no value has been calculated yet."""
    for row, formula_row in zip(iter_rows(values), iter_rows(formulas), strict=False):
        yield [formula if value is None else value for value, formula in zip(row, formula_row, strict=False)]


def cell_text(value: Any) -> str:
    """Return a cell as people read it: ``3`` for 3.0, a date without the time 00:00."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    return str(getattr(value, "text", value))
