"""The vector index, whichever server or library holds it."""

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
    """Return what a store tells of a point and its vectors, named as in a ``Point``; those it lacks are empty."""
    told = record.vector or {}
    sparse = told.get("sparse")
    return Point(
        id=str(record.id),
        dense=np.asarray(told.get("dense", ()), np.float32),
        sparse=Sparse(sparse.indices, sparse.values) if sparse else Sparse((), ()),
        payload=record.payload or {},
    )


class VectorWriter(Protocol):
    """Open for writing; writes are durable when the ``writing()`` block that gave it ends."""

    @property
    def generation(self) -> str | None:
        """What the last turn of writing left (``storage.projection_ledger``); None in a new index."""
        ...

    def write_generation(self, mark: str) -> None:
        """Leave a mark, at the end of the turn: it is there only if all that was written is there as well."""
        ...

    def upsert(self, points: Sequence[Point]) -> None:
        """Write whole points; the same id replaces vector and payload."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are no error."""
        ...


class VectorStore(Protocol):
    """Where chunks are found by meaning and by words."""

    def writing(self) -> AbstractContextManager[VectorWriter]:
        """Hold the index for writing; other writers and readers of an embedded index wait meanwhile."""
        ...

    def generation(self) -> str | None:
        """Return what the last turn of writing left, by a cheap look; None where there is no index."""
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
        """Leave no trace of deleted points in the files; False where only the server's own upkeep does that."""
        ...

    def promote(self) -> None:
        """Be what others than us reach under the name of the index, where it has one; it is no error if it is."""
        ...

    def remove(self) -> None:
        """Remove the index with all that is in it; it is no error if there is none."""
        ...

    def points(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield id and payload of every point, in the order of ids, in bounded memory."""
        ...

    def points_with_vectors(self) -> Iterator[Point]:
        """Yield every point with its vectors, in the order of ids, in bounded memory."""
        ...
