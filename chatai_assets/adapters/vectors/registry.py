"""Opens the vector index that the settings ask for; its driver is imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chatai_assets.adapters.vectors.edge_alias import generation_of_index

if TYPE_CHECKING:
    from chatai_assets.adapters.vectors.base import VectorStore
    from chatai_assets.adapters.vectors.collection import Collection
    from chatai_assets.files.locks import WriterLock
    from chatai_assets.settings.stores import QdrantServer


def folder_name(number: int) -> str:
    """Return the name of an index's folder in the home, and of the lock of its writers."""
    return "vectors" if number == 1 else f"vectors-{number}"


def open_vectors(
    home: Path, server: QdrantServer | None, number: int, collection: Collection, lock: Callable[[str], WriterLock]
) -> VectorStore:
    """Return a vector index; nothing is read or written yet.

    Args:
        home: folder of embedded stores.
        server: None for the embedded index.
        number: of the index; each of a home has a store of its own.
        collection: what the index is made for.
        lock: name -> lock of one writer at a time, across machines; embedded indexes lock files instead.
    """
    if server is None:
        from chatai_assets.adapters.vectors.edge import EdgeVectors

        return EdgeVectors(
            home / folder_name(number), collection.dimensions, collection.model, layout=collection.layout
        )
    from chatai_assets.adapters.vectors.qdrant import QdrantVectors

    return QdrantVectors(
        server.url,
        collection.dimensions,
        collection.model,
        lock(folder_name(number)),
        api_key=server.api_key,
        grpc_port=server.grpc_port,
        number=number,
        layout=collection.layout,
    )


def generation_reader(
    home: Path, server: QdrantServer | None, number: int, opened: Callable[[], VectorStore]
) -> Callable[[], str | None]:
    """Return what reads the generation of an index; of an embedded one without loading its library."""
    return opened().generation if server else partial(generation_of_index, home / folder_name(number))
