"""The knowledge graph, whichever server or library holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

NODE_LABELS = ("Post", "Document", "Channel", "Tag", "Entity")
EDGE_TYPES = ("POSTED_IN", "TAGGED", "MENTIONS", "RELATED")


@dataclass(frozen=True, slots=True)
class Node:
    """A node; ``id`` starts with the tenant.

    Attributes:
        properties: the same names for every node of a label (see ``adapters.graph.cypher``), epoch seconds for moments.
    """

    label: str
    id: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Edge:
    """A relationship and the source that vouches for it.

    Attributes:
        id: unique; starts with the tenant. The same two nodes may be joined by one edge per source.
        start: (label, id) of the node it leaves.
        end: (label, id) of the node it enters.
        source: ``tenant|source key`` of the post or document it comes from, and by which it is traced and removed.
    """

    type: str
    id: str
    start: tuple[str, str]
    end: tuple[str, str]
    source: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GraphChange:
    """What a batch does to the graph; applied in this order.

    Attributes:
        nodes: written (merged) by id.
        edges: written (merged) by id, both ends exist.
        delete_edges: (type, id) of edges to remove; unknown ones are no error.
        release_nodes: (label, id) of nodes that go if no relationship is left on them.
    """

    nodes: Sequence[Node] = ()
    edges: Sequence[Edge] = ()
    delete_edges: Sequence[tuple[str, str]] = ()
    release_nodes: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class GraphCounts:
    """How large the graph is."""

    nodes: int
    relationships: int


class GraphWriter(Protocol):
    """Open for writing; changes are durable when ``apply`` returns."""

    def apply(self, change: GraphChange) -> None:
        """Apply a change in one transaction; applying it twice changes nothing."""
        ...


class GraphStore(Protocol):
    """Where facts and their sources are linked."""

    def writing(self) -> AbstractContextManager[GraphWriter]:
        """Hold the graph for writing; other writers and readers of an embedded graph wait meanwhile."""
        ...

    def count(self) -> GraphCounts:
        """Return the number of nodes and relationships; zeros before the first write."""
        ...

    def nodes(self) -> Iterator[Node]:
        """Yield every node, in the order of label and id."""
        ...

    def edges(self) -> Iterator[Edge]:
        """Yield every edge, in the order of type and id."""
        ...
