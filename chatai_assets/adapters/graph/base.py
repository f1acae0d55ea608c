"""Protocol of the knowledge graph, implemented by an embedded library and by a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from chatai_assets.domain.graph.changes import GraphChange
from chatai_assets.domain.graph.subgraph import Edge, Node


@dataclass(frozen=True, slots=True)
class GraphCounts:
    """Size of the graph."""

    nodes: int
    relationships: int


class GraphWriter(Protocol):
    """A graph that is locked for writing; changes are durable when ``apply`` returns."""

    @property
    def max_parts(self) -> int:
        """Maximum of nodes and edges of a change, unless a single item has more."""
        ...

    @property
    def generation(self) -> str | None:
        """Generation of the last write session (``storage.projection_ledger``); None in a new graph."""
        ...

    def write_generation(self, generation: str) -> None:
        """Write the generation, once all changes applied before are durable."""
        ...

    def apply(self, change: GraphChange) -> None:
        """Apply a change in one transaction; applying it twice changes nothing.

        Raises:
            StoreUnavailable: nothing of the change was written.
        """
        ...


class GraphStore(Protocol):
    """A graph of facts and their sources."""

    def close(self) -> None:
        """Close all connections; do not use it after that."""
        ...

    def writing(self) -> AbstractContextManager[GraphWriter]:
        """Lock the graph for writing; other writers, and readers of an embedded graph, wait meanwhile."""
        ...

    def generation(self) -> str | None:
        """Return the generation of the last write session without opening the graph; None if there is no graph."""
        ...

    def count(self) -> GraphCounts:
        """Return the number of nodes and relationships; zeros before the first write."""
        ...

    def compact(self) -> bool:
        """Rewrite the files without deleted data; return False if only the server's own tools do that."""
        ...

    def nodes(self) -> Iterator[Node]:
        """Yield every node; concurrent writes may or may not be included."""
        ...

    def edges(self) -> Iterator[Edge]:
        """Yield every edge; concurrent writes may or may not be included."""
        ...
