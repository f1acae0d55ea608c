"""Writes a change of the graph as statements, in an order that suits every store.

New nodes are created, others looked up by key: MERGE is slow in an embedded graph, and no faster in a server that has
looked the key up already. Whether a node is new is queried from the store, not taken from the caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from chatai_assets.adapters.graph import cypher
from chatai_assets.domain.graph.changes import EdgeRef, GraphChange
from chatai_assets.domain.graph.subgraph import Edge, Node, node_of_source

NodeKey = tuple[str, str]
GraphRow = Sequence[Any]
Item = TypeVar("Item")
Group = TypeVar("Group", bound=Hashable)


class GraphTransaction(Protocol):
    """An open transaction of a store."""

    def ask(self, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Run a statement and return its rows, each a sequence of values."""
        ...

    def load(self, rows: Sequence[GraphRow], columns: Mapping[str, str], body: Callable[[str], str]) -> None:
        """Run a body of ``cypher`` for every row.

        Args:
            rows: at least one; values in the order of ``columns``.
            columns: name -> type of the schema.
            body: takes the prefix of column names, returns the body.
        """
        ...

    def delete_edges(self, edges: Sequence[EdgeRef]) -> None:
        """Remove edges; unknown ones are no error."""
        ...


def write_change(transaction: GraphTransaction, change: GraphChange) -> None:
    """Write a change; doing it twice changes nothing. Errors of the transaction are not translated."""
    created = _write_nodes(transaction, change.nodes)
    _write_edges(transaction, change.edges, created)
    transaction.delete_edges(change.delete_edges)
    for label, keys in group_by(change.release_nodes, lambda key: key[0]).items():
        transaction.ask(cypher.release_nodes(label), {"ids": [node_id for _, node_id in keys]})


def group_by(items: Iterable[Item], key: Callable[[Item], Group]) -> dict[Group, list[Item]]:
    """Return key -> items, both in the order of their first appearance."""
    groups: dict[Group, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _write_nodes(transaction: GraphTransaction, nodes: Sequence[Node]) -> set[NodeKey]:
    """Write nodes; return (label, id) of those that were created."""
    created: set[NodeKey] = set()
    for label, wanted in group_by(nodes, lambda node: node.label).items():
        ids = [node.id for node in wanted]
        known = {row[0]: list(row) for row in transaction.ask(cypher.known_nodes(label), {"ids": ids})}
        rows, columns = [_node_row(node) for node in wanted], cypher.node_columns(label)
        new = [row for row in rows if row[0] not in known]
        changed = [row for row in rows if known.get(row[0], row) != row]
        if new:
            transaction.load(new, columns, partial(cypher.create_node, label))
        if changed:
            transaction.load(changed, columns, partial(cypher.set_node, label))
        created.update((label, row[0]) for row in new)
    return created


def _write_edges(transaction: GraphTransaction, edges: Sequence[Edge], created: set[NodeKey]) -> None:
    # A source whose node was just created has no edges yet; edges of other sources may exist, and are replaced.
    transaction.delete_edges(
        [EdgeRef(edge.type, edge.id, edge.start) for edge in edges if node_of_source(edge.source) not in created]
    )
    for (type_, start, end), group in group_by(edges, _table).items():
        body = partial(cypher.create_edge, type_, start, end)
        transaction.load([_edge_row(edge) for edge in group], cypher.edge_columns(type_), body)


def _table(edge: Edge) -> tuple[str, str, str]:
    return edge.type, edge.start[0], edge.end[0]


def _node_row(node: Node) -> list[Any]:
    return [node.id, *map(node.properties.__getitem__, cypher.NODES[node.label])]


def _edge_row(edge: Edge) -> list[Any]:
    properties = map(edge.properties.__getitem__, cypher.EDGES[edge.type])
    return [edge.start[1], edge.end[1], edge.id, edge.source, *properties]
