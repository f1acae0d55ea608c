"""The embedded vector index: Qdrant Edge, Qdrant's own shard, in process and without a server.

A shard is exclusive: whoever searches or writes opens it, works and closes it, in turns (``turns``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from chatai_assets.adapters.vectors import edge_collection as collections
from chatai_assets.adapters.vectors.edge_collection import Collection, failing_as_outage
from chatai_assets.adapters.vectors.port import Hit, Point, Query
from chatai_assets.adapters.vectors.turns import Turns
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.fusion import fuse

TURN_TIMEOUT_S = 60.0
PAGE = 5_000
"""Points read at a time while all are walked through."""
CANDIDATES = 50


class EdgeVectors:
    """The embedded ``VectorStore``: good for about 150,000 points.

    Args:
        path: folder of the index; made by the first write.
        dimensions: length of the dense vectors.
        model: who made them; a collection belongs to one model.
        turn_timeout_s: how long to wait for others who have the index open.

    Every method raises ``StoreUnavailable`` when the index is busy for too long, damaged, on a full disk, or was
    made with another model.
    """

    def __init__(self, path: Path, dimensions: int, model: str, *, turn_timeout_s: float = TURN_TIMEOUT_S) -> None:
        self._path = path
        self._wanted = Collection(model, dimensions)
        self._turns = Turns(path, turn_timeout_s)

    @contextmanager
    def writing(self) -> Iterator[EdgeWriter]:
        """Hold the index for writing; what was written is durable when the block ends.

        Let go of it every 3,000 points or so: nobody can search meanwhile.
        """
        with failing_as_outage("written"):
            self._path.mkdir(parents=True, exist_ok=True)
        with self._turns.writing(), failing_as_outage("written"), collections.opened(self._made()) as shard:
            yield EdgeWriter(shard)

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of a hybrid (dense + sparse) search, best first; none before the first write."""
        with self._reading() as shard:
            if shard is None:
                return []
            return _search(shard, query)

    def count(self, filters: Mapping[str, str] | None = None) -> int:
        """Return how many points there are, or how many hold all the given payload values."""
        with self._reading() as shard:
            return 0 if shard is None else int(shard.count(edge.CountRequest(filter=_filter(filters or {}))))

    def points(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield id and payload of every point in the order of ids, 5,000 at a time; the index is free in between."""
        offset = None
        while True:
            with self._reading() as shard:
                if shard is None:
                    return
                page, offset = shard.scroll(edge.ScrollRequest(offset=offset, limit=PAGE, with_payload=True))
            yield from ((str(record.id), record.payload or {}) for record in page)
            if offset is None:
                return

    def optimise(self) -> bool:
        """Merge segments and build the HNSW graph; return whether there was anything to do. Blocks everybody."""
        with self._turns.writing(), failing_as_outage("optimised"), collections.opened(self._made()) as shard:
            return bool(shard.optimize())

    @contextmanager
    def _reading(self) -> Iterator[edge.EdgeShard | None]:
        if collections.current(self._path) is None:
            yield None
            return
        with self._turns.searching(), failing_as_outage("read"), collections.opened(self._known()) as shard:
            yield shard

    def _made(self) -> Path:
        if collections.current(self._path) is None:
            collections.point_alias(self._path, collections.create(self._path, self._wanted))
        return self._known()

    def _known(self) -> Path:
        folder = collections.current(self._path)
        if folder is None:
            raise StoreUnavailable("the vector index has no collection")
        found = collections.made_for(folder)
        if found != self._wanted:
            raise StoreUnavailable(
                f"the vector index was made with {found.model} ({found.dimensions} dimensions), but "
                f"{self._wanted.model} ({self._wanted.dimensions}) is in use: rebuild the index or set the model back"
            )
        return folder


class EdgeWriter:
    """An open index; made by ``EdgeVectors.writing``."""

    def __init__(self, shard: edge.EdgeShard) -> None:
        self._shard = shard

    def upsert(self, points: Sequence[Point]) -> None:
        """Write whole points; the same id replaces vector and payload."""
        if points:
            self._shard.update(edge.UpdateOperation.upsert_points([_edge_point(point) for point in points]))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are no error."""
        if ids:
            self._shard.update(edge.UpdateOperation.delete_points(list(ids)))


def _search(shard: edge.EdgeShard, query: Query) -> list[Hit]:
    condition = _filter(query.filters)
    dense = edge.Query.Nearest(query.dense.tolist(), using="dense")
    sparse = edge.Query.Nearest(
        edge.SparseVector(indices=list(query.sparse.indices), values=list(query.sparse.values)), using="sparse"
    )
    answers = shard.query_batch(
        edge.QueryBatchRequest(
            [
                edge.QueryRequest(limit=CANDIDATES, query=dense, filter=condition, with_payload=True),
                edge.QueryRequest(limit=CANDIDATES, query=sparse, filter=condition, with_payload=True),
            ]
        )
    )
    payloads = {str(found.id): found.payload or {} for found in chain.from_iterable(answers)}
    scores = fuse([[str(found.id) for found in answer] for answer in answers])
    return [Hit(key, score, payloads[key]) for key, score in list(scores.items())[: query.limit]]


def _edge_point(point: Point) -> edge.Point:
    sparse = edge.SparseVector(indices=list(point.sparse.indices), values=list(point.sparse.values))
    return edge.Point(
        id=point.id, vector={"dense": point.dense.tolist(), "sparse": sparse}, payload=dict(point.payload)
    )


def _filter(filters: Mapping[str, str]) -> edge.Filter | None:
    conditions: list[Any] = [
        edge.FieldCondition(key=key, match=edge.MatchValue(value)) for key, value in filters.items()
    ]
    return edge.Filter(must=conditions) if conditions else None
