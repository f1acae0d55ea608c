"""A change of the graph, written to ladybug in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import ladybug

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.ladybug_session import query, translate_errors
from chatai_assets.adapters.graph.statements import GraphRow, group_by, write_change
from chatai_assets.domain.graph.changes import EdgeRef, GraphChange

MAX_PARTS = 200_000
"""Nodes and edges of one transaction: each rewrites what the previous one wrote to the same tables.

Measured: 100,000 at once take 2.2 s of CPU and 20 MB of memory; in batches of 50,000 they take 3.2 s, and the file is
half as large again.
"""


class LadybugWriter:
    """Implements ``base.GraphWriter`` on an open connection.

    Args:
        connection: used by this writer only.
        folder: for temporary files of rows.
    """

    max_parts = MAX_PARTS

    def __init__(self, connection: ladybug.Connection, folder: Path) -> None:
        self._transaction = LadybugTransaction(connection, folder)
        self.generation = generation_in(connection)

    def write_generation(self, generation: str) -> None:
        """Write the generation; ``StoreUnavailable`` if that failed."""
        with translate_errors("written"), self._transaction.open():
            self._transaction.ask(cypher.WRITE_GENERATION, {"mark": generation})
        self.generation = generation

    def apply(self, change: GraphChange) -> None:
        """Apply a change in one transaction; applying it twice changes nothing.

        Raises:
            StoreUnavailable: nothing of the change was written.
        """
        if change.empty:
            return
        with translate_errors("written"), self._transaction.open():
            write_change(self._transaction, change)


def generation_in(connection: ladybug.Connection) -> str | None:
    """Return the generation of an open graph."""
    with translate_errors("read"):
        return next((row[0] for row in query(connection, cypher.READ_GENERATION)), None)


class LadybugTransaction:
    """Implements ``statements.GraphTransaction``."""

    def __init__(self, connection: ladybug.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    @contextmanager
    def open(self) -> Iterator[None]:
        query(self._connection, "BEGIN TRANSACTION")
        done = False
        try:
            yield
            query(self._connection, "COMMIT")
            done = True
        finally:
            if not done:
                with suppress(RuntimeError):  # most errors of ladybug have ended the transaction already
                    query(self._connection, "ROLLBACK")

    def ask(self, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        return query(self._connection, statement, parameters)

    def load(self, table: Sequence[GraphRow], columns: Mapping[str, str], body: Callable[[str], str]) -> None:
        with csv_scan(table, columns, self._folder) as scan:
            query(self._connection, f"{scan} {body(PREFIX)}")

    def delete_edges(self, edges: Sequence[EdgeRef]) -> None:
        for (type_, (label, start)), group in group_by(edges, lambda edge: (edge.type, edge.start)).items():
            self.ask(cypher.delete_edges(type_, label), {"start": start, "ids": [edge.id for edge in group]})


OPTIONS = "file_format='csv', header=false, auto_detect=false, parallel=false, delim=',', quote='\"', escape='\"'"
PREFIX = "row_"
"""Prefix of column names, so that they differ from properties and variables."""


@contextmanager
def csv_scan(rows: Iterable[Sequence[Any]], columns: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Yield the clause that scans the rows, to precede a body of ``cypher``; valid until the block ends.

    Args:
        rows: values in the order of ``columns``: str, int, bool, None or a list of int.
        columns: name -> type of the schema.
        folder: for the temporary file; written by the same user as the graph.
    """
    declared = ", ".join(f"{PREFIX}{name} {kind}" for name, kind in columns.items())
    with TemporaryFile("w", encoding="utf-8", newline="", dir=folder) as file:
        file.writelines(csv_line(row) for row in rows)
        file.flush()
        file.seek(0)  # where /dev/fd shares the position of the open file
        yield f"LOAD WITH HEADERS ({declared}) FROM '/dev/fd/{file.fileno()}' ({OPTIONS})"


def csv_line(row: Iterable[Any]) -> str:
    """Return one record, with its line end."""
    # Most values are texts: no call for each of them.
    fields = ['"' + value.replace('"', '""') + '"' if isinstance(value, str) else _field(value) for value in row]
    return ",".join(fields) + "\n"


def _field(value: int | list[int] | None) -> str:
    if value is None:
        return ""
    return f'"{value}"' if isinstance(value, list) else str(value)
