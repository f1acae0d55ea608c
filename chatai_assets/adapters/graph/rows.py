"""Rows as a CSV file that ladybug scans: three times as fast as the same rows as parameters.

The file has no name, so that a killed process leaves none behind. Measured with ladybug 0.22: quotes, backslashes,
line ends, brackets and surrounding spaces come back as they were, and so does the difference between ``""`` and null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

OPTIONS = "file_format='csv', header=false, auto_detect=false, parallel=false, delim=',', quote='\"', escape='\"'"
PREFIX = "row_"
"""Before each column's name, so that it is no property's or variable's name."""


@contextmanager
def scanned(rows: Iterable[Sequence[Any]], columns: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Give the clause that makes the rows, to stand before a body of ``cypher``; it is good until the block ends.

    Args:
        rows: values in the order of ``columns``: str, int, bool, None or a list of int.
        columns: name -> type of the schema.
        folder: where the nameless file lies; written by the same user as the graph.
    """
    declared = ", ".join(f"{PREFIX}{name} {kind}" for name, kind in columns.items())
    with TemporaryFile("w", encoding="utf-8", newline="", dir=folder) as file:
        file.writelines(line_of(row) for row in rows)
        file.flush()
        file.seek(0)  # where /dev/fd shares the position of the open file
        yield f"LOAD WITH HEADERS ({declared}) FROM '/dev/fd/{file.fileno()}' ({OPTIONS})"


def line_of(row: Iterable[Any]) -> str:
    """Return one record, with its line end."""
    # Most values are texts: no call for each of them.
    fields = ['"' + value.replace('"', '""') + '"' if isinstance(value, str) else _field(value) for value in row]
    return ",".join(fields) + "\n"


def _field(value: int | list[int] | None) -> str:
    if value is None:
        return ""
    return f'"{value}"' if isinstance(value, list) else str(value)
