"""Reading all that a ladybug graph holds, in portions, each with the file opened anew.

Pages that a statement has read mostly stay in the pool until the database is closed, however small what it returns:
measured, a graph of 100,000 posts does not go through 128 MB at once, and a portion of it takes some 80 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import ladybug

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.ladybug_session import iter_rows, query, translate_errors

PORTION = 50_000
"""Nodes or edges that are read with the file opened once."""
SIZE = 10_000
"""Places that are counted together; what was deleted leaves its place empty."""
END = 1 << 62

Opening = Callable[[], AbstractContextManager[ladybug.Connection | None]]
"""Opens the graph for reading; gives None where there is none."""


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
    for first, beyond in _portions(counts):
        with opening() as connection:
            if connection:
                yield from iter_rows(connection, listing, {"first": first, "beyond": beyond})


def _portions(counts: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Yield first place, and place beyond the last, of portions; what is added meanwhile belongs to the last."""
    first, held = 0, 0
    for number, count in counts:
        if held + count > PORTION:
            yield first, number * SIZE
            first, held = number * SIZE, 0
        held += count
    if held:
        yield first, END
