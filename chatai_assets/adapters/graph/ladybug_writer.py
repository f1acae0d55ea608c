"""A change of the graph, written to ladybug in one transaction.

What is surely new is created, the rest looked up by key: with 0.22, MERGE compares with a whole table of nodes, and for
an edge with all edges of both its ends. Whether something is new is asked of the store, never believed of the caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import ladybug

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.ladybug_session import failing_as_outage, rows
from chatai_assets.adapters.graph.rows import PREFIX, scanned
from chatai_assets.domain.graph import Edge, Node, node_of_source
from chatai_assets.domain.graph_change import EdgeRef, GraphChange

NodeKey = tuple[str, str]
Item = TypeVar("Item")
Group = TypeVar("Group", bound=Hashable)


class LadybugWriter:
    """Implements ``port.GraphWriter`` on an open connection.

    Args:
        connection: nobody else writes through it.
        folder: where rows lie while they are read, in files without a name.
    """

    def __init__(self, connection: ladybug.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    def apply(self, change: GraphChange) -> None:
        """Apply a change in one transaction; applying it twice changes nothing.

        Raises:
            StoreUnavailable: nothing of the change was written.
        """
        if change.empty:
            return
        with failing_as_outage("written"), self._transaction():
            made = self._write_nodes(change.nodes)
            self._write_edges(change.edges, made)
            self._delete_edges(change.delete_edges)
            for label, ids in grouped(change.release_nodes, lambda key: key[0]).items():
                rows(self._connection, cypher.release_nodes(label), {"ids": [node_id for _, node_id in ids]})

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        rows(self._connection, "BEGIN TRANSACTION")
        done = False
        try:
            yield
            rows(self._connection, "COMMIT")
            done = True
        finally:
            if not done:
                with suppress(RuntimeError):  # most errors of ladybug have ended the transaction already
                    rows(self._connection, "ROLLBACK")

    def _write_nodes(self, nodes: Sequence[Node]) -> set[NodeKey]:
        """Write nodes and return (label, id) of those that were not there before."""
        made: set[NodeKey] = set()
        for label, wanted in grouped(nodes, lambda node: node.label).items():
            known = self._known(label, [node.id for node in wanted])
            new = [row for row in map(_node_row, wanted) if row[0] not in known]
            changed = [row for row in map(_node_row, wanted) if known.get(row[0], row) != row]
            self._load(new, cypher.node_columns(label), cypher.create_node(label, PREFIX))
            self._load(changed, cypher.node_columns(label), cypher.set_node(label, PREFIX))
            made.update((label, row[0]) for row in new)
        return made

    def _known(self, label: str, ids: list[str]) -> dict[str, list[Any]]:
        return {row[0]: row for row in rows(self._connection, cypher.known_nodes(label), {"ids": ids})}

    def _write_edges(self, edges: Sequence[Edge], made: set[NodeKey]) -> None:
        # A source whose own node was not there has no edge there; any other edge may be there, and is replaced.
        self._delete_edges(
            EdgeRef(edge.type, edge.id, edge.start) for edge in edges if node_of_source(edge.source) not in made
        )
        for (type_, start, end), group in grouped(edges, _table).items():
            self._load(map(_edge_row, group), cypher.edge_columns(type_), cypher.create_edge(type_, start, end, PREFIX))

    def _delete_edges(self, edges: Iterable[EdgeRef]) -> None:
        for (type_, (label, start)), group in grouped(edges, lambda edge: (edge.type, edge.start)).items():
            parameters = {"start": start, "ids": [edge.id for edge in group]}
            rows(self._connection, cypher.delete_edges(type_, label), parameters)

    def _load(self, table: Iterable[Sequence[Any]], columns: Mapping[str, str], body: str) -> None:
        table = list(table)
        if table:
            with scanned(table, columns, self._folder) as scan:
                rows(self._connection, f"{scan} {body}")


def grouped(items: Iterable[Item], key: Callable[[Item], Group]) -> dict[Group, list[Item]]:
    """Return key -> items, both in the order of their first appearance."""
    groups: dict[Group, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _table(edge: Edge) -> tuple[str, str, str]:
    return edge.type, edge.start[0], edge.end[0]


def _node_row(node: Node) -> list[Any]:
    return [node.id, *(node.properties[name] for name in cypher.NODES[node.label])]


def _edge_row(edge: Edge) -> list[Any]:
    properties = (edge.properties[name] for name in cypher.EDGES[edge.type])
    return [edge.start[1], edge.end[1], edge.id, edge.source, *properties]
