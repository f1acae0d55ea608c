"""Reads a whole ladybug graph in batches, opening the file for each batch.

Pages that a statement has read mostly stay in the buffer pool until the database is closed, however small the result.
Measured: a graph of 100,000 posts cannot be read at once within 128 MB; a batch of it takes some 80 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import ladybug

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.ladybug_session import iter_rows, query, translate_errors

BATCH_ROWS = 50_000
"""Nodes or edges read per opening of the file."""
SIZE = 10_000
"""Row offsets counted together; deleted rows leave their offset empty."""
END = 1 << 62

Opening = Callable[[], AbstractContextManager[ladybug.Connection | None]]
"""Opens the graph for reading; yields None if there is none."""


def iter_nodes(opening: Opening, label: str) -> Iterator[Any]:
    """Yield the rows of all nodes of a label: ``cypher.node_columns``."""
    yield from _iter_batches(opening, cypher.count_nodes_by_offset(label), cypher.nodes_between(label))


def iter_edges(opening: Opening, type_: str, start: str, end: str) -> Iterator[Any]:
    """Yield the rows of all edges of a type between two labels: ``cypher.edge_columns``."""
    yield from _iter_batches(
        opening, cypher.count_edges_by_offset(type_, start, end), cypher.edges_between(type_, start, end)
    )


def _iter_batches(opening: Opening, counting: str, listing: str) -> Iterator[Any]:
    with opening() as connection, translate_errors("read"):
        counts = query(connection, counting, {"size": SIZE}) if connection else []
    for first, beyond in _offset_ranges(counts):
        with opening() as connection:
            if connection:
                yield from iter_rows(connection, listing, {"first": first, "beyond": beyond})


def _offset_ranges(counts: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Yield first offset and end offset of each batch; the last batch includes rows added meanwhile."""
    first, rows = 0, 0
    for number, count in counts:
        if rows + count > BATCH_ROWS:
            yield first, number * SIZE
            first, rows = number * SIZE, 0
        rows += count
    if rows:
        yield first, END
