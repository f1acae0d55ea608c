"""Rows of CSV and XLSX -> lines of text.

A row becomes ``column: value; column: value`` and a paragraph of its own: a hit in it can be quoted and understood
without the header, and no chunk is cut within a row.
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
        rows: cells as text, ``""`` where empty; rows may differ in length.
        limits: ``max_columns`` and ``max_cell_chars`` bind here, and ``max_rows``.
        max_rows: rows still allowed, where the document has further tables.

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
    """Return the cells of a row, each on one line, within the limits."""
    cells = (one_line(cell) for cell in row[: limits.max_columns])
    return [cell if len(cell) <= limits.max_cell_chars else cell[: limits.max_cell_chars] + CUT for cell in cells]


def find_header(rows: Sequence[Sequence[str]]) -> int | None:
    """Return which of the first rows names the columns, None where none does.

    It is the first row that fills at least half of the table's columns (so that titles above a table are passed
    over), consists of distinct words, not of numbers, and has a row beneath it.
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
    return any(sign.isdigit() for sign in cell) and not any(sign.isalpha() for sign in cell)


def format_row(header: Sequence[str], cells: Sequence[str]) -> str:
    """Return one row as text; a cell under no name stands alone."""
    pairs = zip_longest(header, cells, fillvalue="")
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def format_row_without_header(cells: Sequence[str]) -> str:
    """Return a row without column names."""
    return "; ".join(cell for cell in cells if cell)
