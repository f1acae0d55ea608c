"""Protocol of the vector index, implemented by an embedded library and by a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from chatai_assets.adapters.models.base import Vector


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse vector: ascending uint32 term ids and their weights, of equal length."""

    indices: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Point:
    """One chunk in the index.

    Attributes:
        id: ``str`` of ``domain.ids.point_id``.
        payload: JSON values, as ``pipeline.projections.points`` makes them: times are epoch seconds, ``start`` and
            ``end`` character offsets. The text stays in the record store.
    """

    id: str
    dense: Vector
    sparse: Sparse
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A question to the index.

    Attributes:
        filters: payload field -> value that must be equal (``{"tenant_id": "default", "kind": "post"}``).
        limit: how many hits at most.
    """

    dense: Vector
    sparse: Sparse
    limit: int
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: higher scores are better; scores of different queries do not compare."""

    id: str
    score: float
    payload: Mapping[str, Any]


def point_of(record: Any) -> Point:
    """Return a store's record as a ``Point``; vectors that the record lacks are empty."""
    vectors = record.vector or {}
    sparse = vectors.get("sparse")
    return Point(
        id=str(record.id),
        dense=np.asarray(vectors.get("dense", ()), np.float32),
        sparse=Sparse(sparse.indices, sparse.values) if sparse else Sparse((), ()),
        payload=record.payload or {},
    )


class VectorWriter(Protocol):
    """An index that is locked for writing; writes are durable when the ``writing()`` block ends."""

    @property
    def generation(self) -> str | None:
        """Generation of the last write session (``storage.projection_ledger``); None in a new index."""
        ...

    def write_generation(self, generation: str) -> None:
        """Write the generation, at the end of a write session, once all written data is durable."""
        ...

    def upsert(self, points: Sequence[Point]) -> None:
        """Write whole points; the same id replaces vector and payload."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are no error."""
        ...


class VectorStore(Protocol):
    """Where chunks are found by meaning and by words."""

    def close(self) -> None:
        """Close all connections; do not use it after that."""
        ...

    def writing(self) -> AbstractContextManager[VectorWriter]:
        """Lock the index for writing; other writers, and readers of an embedded index, wait meanwhile."""
        ...

    def generation(self) -> str | None:
        """Return the generation of the last write session without opening the index; None if there is no index."""
        ...

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of a hybrid (dense + sparse) search, best first."""
        ...

    def search_all(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the hits of each query; writers of an embedded index wait until the last is answered."""
        ...

    def count(self, filters: Mapping[str, str] | None = None) -> int:
        """Return how many points there are."""
        ...

    def compact(self) -> bool:
        """Rewrite the files without deleted points; return False if only the server's optimizer does that."""
        ...

    def promote(self) -> None:
        """Point the public alias at this index, if the store has aliases; a no-op if it does already."""
        ...

    def remove(self) -> None:
        """Remove the index and its contents; a no-op if there is none."""
        ...

    def points(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield id and payload of every point, in the order of ids, in bounded memory."""
        ...

    def points_with_vectors(self) -> Iterator[Point]:
        """Yield every point with its vectors, in the order of ids, in bounded memory."""
        ...
