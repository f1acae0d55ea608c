"""Opens the knowledge graph that the settings ask for; its driver is imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chatai_assets.adapters.graph.ladybug_generation import generation_of_graph

if TYPE_CHECKING:
    from chatai_assets.adapters.graph.base import GraphStore
    from chatai_assets.files.locks import WriterLock
    from chatai_assets.settings.stores import Neo4jServer

NAME = "graph"
"""Of its folder in the home, and of the lock of its writers."""


def open_graph(home: Path, server: Neo4jServer | None, lock: Callable[[str], WriterLock]) -> GraphStore:
    """Return the graph; nothing is read or written yet.

    Args:
        home: folder of embedded stores.
        server: None for the embedded graph.
        lock: name -> lock of one writer at a time, across machines; the embedded graph locks files instead.
    """
    if server is None:
        from chatai_assets.adapters.graph.ladybug import LadybugGraph

        return LadybugGraph(home / NAME)
    from chatai_assets.adapters.graph.neo4j import Neo4jGraph

    return Neo4jGraph(server.uri, (server.user, server.password), lock(NAME))


def generation_reader(
    home: Path, server: Neo4jServer | None, opened: Callable[[], GraphStore]
) -> Callable[[], str | None]:
    """Return what reads the generation of the graph; of the embedded one without loading its library."""
    return opened().generation if server else partial(generation_of_graph, home / NAME)
