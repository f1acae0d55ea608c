"""Copies a graph into a new file, because ladybug's freed pages keep their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import ladybug

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.ladybug_reader import Opening, iter_edges, iter_nodes
from chatai_assets.adapters.graph.ladybug_writer import LadybugTransaction, generation_in

ROWS = 20_000
"""Nodes or edges of one transaction."""


def copy_graph(opening: Opening, target: ladybug.Connection, folder: Path) -> None:
    """Copy nodes, edges and generation.

    Args:
        opening: opens the source, which is locked against changes.
        target: connection to a graph with the schema and no data.
        folder: for temporary files of rows.
    """
    writing = LadybugTransaction(target, folder)
    for label in cypher.NODES:
        for some in _batches(iter_nodes(opening, label)):
            with writing.open():
                writing.load(some, cypher.node_columns(label), partial(cypher.create_node, label))
    for type_, ends in cypher.ENDPOINTS.items():
        for start, end in ends:
            for some in _batches(iter_edges(opening, type_, start, end)):
                with writing.open():
                    writing.load(some, cypher.edge_columns(type_), partial(cypher.create_edge, type_, start, end))
    with opening() as source:
        mark = generation_in(source) if source else None
    if mark is not None:
        with writing.open():
            writing.ask(cypher.WRITE_GENERATION, {"mark": mark})


def _batches(rows: Iterator[Any]) -> Iterator[list[Sequence[Any]]]:
    while some := list(islice(rows, ROWS)):
        yield some
