"""Copying all that a graph holds into a new file: pages that ladybug has freed keep their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import ladybug

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.ladybug_reader import Opening, iter_edges, iter_nodes
from chatai_assets.adapters.graph.ladybug_writer import Transaction, generation_in

ROWS = 20_000
"""Nodes or edges of one transaction."""


def copy_graph(opening: Opening, target: ladybug.Connection, folder: Path) -> None:
    """Copy nodes, edges and mark.

    Args:
        opening: opens what is copied, which nobody changes meanwhile.
        target: of a graph that has the schema and nothing else.
        folder: where rows lie while they are read, in files without a name.
    """
    writing = Transaction(target, folder)
    for label in cypher.NODES:
        for some in _portions(iter_nodes(opening, label)):
            with writing.open():
                writing.load(some, cypher.node_columns(label), partial(cypher.create_node, label))
    for type_, ends in cypher.ENDPOINTS.items():
        for start, end in ends:
            for some in _portions(iter_edges(opening, type_, start, end)):
                with writing.open():
                    writing.load(some, cypher.edge_columns(type_), partial(cypher.create_edge, type_, start, end))
    with opening() as source:
        mark = generation_in(source) if source else None
    if mark is not None:
        with writing.open():
            writing.ask(cypher.WRITE_GENERATION, {"mark": mark})


def _portions(rows: Iterator[Any]) -> Iterator[list[Sequence[Any]]]:
    while some := list(islice(rows, ROWS)):
        yield some
