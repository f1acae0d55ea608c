"""The knowledge graph, whichever server or library holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from chatai_assets.domain.graph.changes import GraphChange
from chatai_assets.domain.graph.subgraph import Edge, Node


@dataclass(frozen=True, slots=True)
class GraphCounts:
    """How large the graph is."""

    nodes: int
    relationships: int


class GraphWriter(Protocol):
    """Open for writing; changes are durable when ``apply`` returns."""

    @property
    def max_parts(self) -> int:
        """How many nodes and edges a change is to have at most, unless a single item has more."""
        ...

    @property
    def generation(self) -> str | None:
        """What the last turn of writing left (``storage.projection_ledger``); None in a new graph."""
        ...

    def write_generation(self, mark: str) -> None:
        """Leave a mark: it is there only if all that was applied before is there as well."""
        ...

    def apply(self, change: GraphChange) -> None:
        """Apply a change in one transaction; applying it twice changes nothing.

        Raises:
            StoreUnavailable: nothing of the change was written.
        """
        ...


class GraphStore(Protocol):
    """Where facts and their sources are linked."""

    def writing(self) -> AbstractContextManager[GraphWriter]:
        """Hold the graph for writing; other writers and readers of an embedded graph wait meanwhile."""
        ...

    def generation(self) -> str | None:
        """Return what the last turn of writing left, by a cheap look; None where there is no graph."""
        ...

    def count(self) -> GraphCounts:
        """Return the number of nodes and relationships; zeros before the first write."""
        ...

    def compact(self) -> bool:
        """Leave no trace of what was deleted in the files; False where only the server's own upkeep does that."""
        ...

    def nodes(self) -> Iterator[Node]:
        """Yield every node; what is written meanwhile may or may not be among them."""
        ...

    def edges(self) -> Iterator[Edge]:
        """Yield every edge, likewise."""
        ...
