"""Formats rows of CSV and XLSX as lines of text.

A row becomes a paragraph ``column: value; column: value``: a hit in it can be quoted and understood without the header,
and no chunk is cut within a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice, zip_longest

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder, one_line
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.errors import UnreadableDocument

HEADER_WITHIN = 20
CUT = "…"


def write_rows(
    document: DocumentBuilder, rows: Iterable[Sequence[str]], limits: ParserLimits, max_rows: int | None = None
) -> int:
    """Write the rows of one table and return how many were not empty.

    Args:
        document: where they are written.
        rows: cells as text, ``""`` if empty; rows may differ in length.
        limits: ``max_columns``, ``max_cell_chars`` and ``max_rows`` apply here.
        max_rows: rows still allowed, if the document has several tables.

    Raises:
        UnreadableDocument: ``too_much_text``.
    """
    stream = (cells for cells in (clean_row(row, limits) for row in rows) if any(cells))
    first = list(islice(stream, HEADER_WITHIN))
    position = find_header(first)
    header = first[position] if position is not None else []
    allowed = limits.max_rows if max_rows is None else max_rows
    written = 0
    for index, cells in enumerate(chain(first, stream)):
        if written >= allowed:
            raise UnreadableDocument("too_much_text", f"more than {limits.max_rows} rows")
        written += 1
        if position is not None and index > position:
            document.paragraph(format_row(header, cells))
        else:
            document.paragraph(format_row_without_header(cells))
    return written


def clean_row(row: Sequence[str], limits: ParserLimits) -> list[str]:
    """Return the cells of a row, each on one line and within the limits."""
    cells = (one_line(cell) for cell in row[: limits.max_columns])
    return [cell if len(cell) <= limits.max_cell_chars else cell[: limits.max_cell_chars] + CUT for cell in cells]


def find_header(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the index of the header among the first rows; None if there is none.

    The header is the first row that fills at least half of the table's columns (which skips titles above a table),
    has distinct cells, none of them a number, and is followed by another row.
    """
    width = max((sum(map(bool, row)) for row in rows), default=0)
    for position, row in enumerate(rows[:-1]):
        filled = [cell for cell in row if cell]
        if len(filled) * 2 >= width and len(filled) >= min(2, width):
            names = len(set(filled)) == len(filled) and not any(map(is_number, filled))
            return position if names else None
    return None


def is_number(cell: str) -> bool:
    """Return whether a cell is a number, a date or a time rather than a name."""
    return any(char.isdigit() for char in cell) and not any(char.isalpha() for char in cell)


def format_row(header: Sequence[str], cells: Sequence[str]) -> str:
    """Return one row as text; a cell without a column name is written without one."""
    pairs = zip_longest(header, cells, fillvalue="")
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def format_row_without_header(cells: Sequence[str]) -> str:
    """Return one row as text, without column names."""
    return "; ".join(cell for cell in cells if cell)
