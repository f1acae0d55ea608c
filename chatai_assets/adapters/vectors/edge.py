"""The embedded vector index: Qdrant Edge, Qdrant's own shard, in process and without a server.

Whoever searches or writes opens the shard, works and closes it: writers alone, searches side by side (``files.locks``).
What cannot be opened any more is set aside, and a new index is begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import Any, TypeVar

import qdrant_edge as edge

from chatai_assets.adapters.vectors import edge_collection as collections
from chatai_assets.adapters.vectors.base import Hit, Point, Query, point_of
from chatai_assets.adapters.vectors.collection import Collection
from chatai_assets.adapters.vectors.edge_alias import ALIAS, current, generation_of_index, point_alias
from chatai_assets.adapters.vectors.edge_collection import translate_errors
from chatai_assets.adapters.vectors.edge_search import equal, search
from chatai_assets.domain.errors import StoreDamaged, StoreUnavailable
from chatai_assets.files.generation import read_generation, write_generation
from chatai_assets.files.locks import IndexLock
from chatai_assets.files.quarantine import quarantine_files

T = TypeVar("T")

TURN_TIMEOUT_S = 60.0
MIN_FREE_BYTES = 200_000_000
PAGE = 1_000
"""Points asked for at a time while all are walked through."""
PAGES = 10
"""Pages for which the index is opened once: what it has read stays in memory until it is closed."""


class EdgeVectors:
    """The embedded ``VectorStore``: good for about 150,000 points.

    Args:
        path: folder of the index; made by the first write.
        dimensions: length of the dense vectors.
        model: who made them; a collection belongs to one model.
        turn_timeout_s: how long to wait for others who have the index open.
        min_free_bytes: with less on the disk nothing is written: Edge maps its files into memory, and a full disk
            would end the process by a signal.

    Every method raises ``StoreUnavailable`` when the index is busy for too long, on a full disk, or was made with
    another model.
    """

    def __init__(
        self,
        path: Path,
        dimensions: int,
        model: str,
        *,
        turn_timeout_s: float = TURN_TIMEOUT_S,
        min_free_bytes: int = MIN_FREE_BYTES,
    ) -> None:
        self._path = path
        self._wanted = Collection(model, dimensions)
        self._turns = IndexLock(path, turn_timeout_s)
        self._min_free_bytes = min_free_bytes

    @contextmanager
    def writing(self) -> Iterator[EdgeWriter]:
        """Hold the index for writing; what was written is durable when the block ends.

        Let go of it every 3,000 points or so: nobody can search meanwhile.
        """
        with self._changing() as shard:
            yield EdgeWriter(shard, self._checked(), self._check_space)

    def generation(self) -> str | None:
        """Return what the last turn of writing left, without opening the index; None where there is none."""
        return generation_of_index(self._path)

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of a hybrid (dense + sparse) search, best first; none before the first write.

        ``ValueError`` when the query names no tenant: nobody searches in what belongs to others.
        """
        return self.search_all([query])[0]

    def search_all(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the hits of each query; the index is opened once and held until the last is answered."""
        if any("tenant_id" not in query.filters for query in queries):
            raise ValueError("a search needs the filter tenant_id")
        with self._reading() as shard:
            return [[] if shard is None else search(shard, query) for query in queries]

    def count(self, filters: Mapping[str, str] | None = None) -> int:
        """Return how many points there are, or how many hold all the given payload values."""
        with self._reading() as shard:
            return 0 if shard is None else shard.count(edge.CountRequest(filter=equal(filters or {})))

    def points(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield id and payload of every point in the order of ids, 5,000 at a time; the index is free in between."""
        yield from self._walked(lambda record: (str(record.id), record.payload or {}), with_vector=False)

    def points_with_vectors(self) -> Iterator[Point]:
        """Yield every point with its vectors in the order of ids, 5,000 at a time; the index is free in between."""
        yield from self._walked(point_of, with_vector=True)

    def _walked(self, told: Callable[[Any], T], *, with_vector: bool) -> Iterator[T]:
        """Yield what is told of every point, which is all that is kept of it while the index is free."""
        offset, is_first = None, True
        while is_first or offset is not None:
            is_first, held = False, list[T]()
            with self._reading(to_search=False) as shard:
                if shard is None:
                    return
                for _ in range(PAGES):
                    page, offset = shard.scroll(
                        edge.ScrollRequest(offset=offset, limit=PAGE, with_payload=True, with_vector=with_vector)
                    )
                    held += map(told, page)
                    if offset is None:
                        break
            yield from held

    def compact(self) -> bool:
        """Write the collection anew, without any trace of deleted points, and remove those that were set aside.

        Nobody can search meanwhile: about a second per 5,000 points.
        """
        if current(self._path) is None:
            return True
        self._check_space(sum(file.stat().st_size for file in self._path.rglob("*") if file.is_file()))
        with self._turns.writing(), translate_errors("written"):
            with ExitStack() as turn:
                copied = collections.copy(self._changed(turn), old := self._checked(), self._wanted)
            write_generation(copied, read_generation(old))
            point_alias(self._path, copied)
            collections.keep_only(copied, self._wanted)
        return True

    def promote(self) -> None:
        """Do nothing: nobody else reaches an embedded index."""

    def remove(self) -> None:
        """Remove the index with all that is in it."""
        if self._path.is_dir():
            with self._turns.writing(), translate_errors("removed"):
                rmtree(self._path)

    @contextmanager
    def _changing(self) -> Iterator[edge.EdgeShard]:
        with translate_errors("written"):
            self._path.mkdir(parents=True, exist_ok=True)
            self._check_space()
        with self._turns.writing(), ExitStack() as turn:
            try:
                shard = self._changed(turn)
            except StoreDamaged as error:
                self._set_aside(error)
                shard = self._changed(turn)
            yield shard

    def _changed(self, turn: ExitStack) -> edge.EdgeShard:
        """Open the collection in use, or a new one, held alone."""
        if current(self._path) is None:
            with translate_errors("created"):
                point_alias(self._path, collections.create(self._path, self._wanted))
        with translate_errors("written"):
            collections.clear_views(self._checked())
        return turn.enter_context(collections.changed(self._checked()))

    @contextmanager
    def _reading(self, *, to_search: bool = True) -> Iterator[edge.EdgeShard | None]:
        with ExitStack() as turn:
            try:
                shard = self._viewed(turn, to_search=to_search)
            except StoreDamaged:
                turn.close()
                self._mend()
                shard = self._viewed(turn, to_search=to_search)
            with translate_errors("read"):
                yield shard

    def _viewed(self, turn: ExitStack, *, to_search: bool) -> edge.EdgeShard | None:
        """Open the collection in use beside other searches; None where there is none."""
        if current(self._path) is None:
            return None
        turn.enter_context(self._turns.searching())
        if collections.is_unfinished(self._checked()):
            turn.close()
            return turn.enter_context(self._changing())
        return turn.enter_context(collections.viewed(self._checked(), to_search=to_search))

    def _mend(self) -> None:
        """Look again, alone, and set aside what is damaged indeed."""
        with self._turns.writing():
            try:
                with collections.opened(self._checked()):
                    pass
            except StoreDamaged as error:
                self._set_aside(error)

    def _set_aside(self, error: StoreDamaged) -> None:
        folder, alias = current(self._path), self._path / ALIAS
        quarantine_files(self._path, [*([folder] if folder else []), alias], "vector index", str(error))

    def _checked(self) -> Path:
        folder = current(self._path)
        if folder is None:
            raise StoreUnavailable("the vector index vanished while it was in use")
        found = collections.made_for(folder)
        if found != self._wanted:
            raise StoreUnavailable(
                f"the vector index was made with {found.model} ({found.dimensions} dimensions), but "
                f"{self._wanted.model} ({self._wanted.dimensions}) is in use: rebuild the index or set the model back"
            )
        return folder

    def _check_space(self, besides: int = 0) -> None:
        free = disk_usage(self._path).free
        if free < self._min_free_bytes + besides:
            raise StoreUnavailable(
                f"the disk of the vector index is full: {free // 1_000_000} MB are free; free space on that disk"
            )


class EdgeWriter:
    """An open index; made by ``EdgeVectors.writing``."""

    def __init__(self, shard: edge.EdgeShard, folder: Path, check_space: Callable[[], None]) -> None:
        self._shard = shard
        self._folder = folder
        self._check_space = check_space
        self.generation = read_generation(folder)

    def upsert(self, points: Sequence[Point]) -> None:
        """Write whole points; the same id replaces vector and payload."""
        if points:
            self._check_space()
            self._update(edge.UpdateOperation.upsert_points([_edge_point(point) for point in points]))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are no error."""
        if ids:
            self._update(edge.UpdateOperation.delete_points([*ids]))

    def write_generation(self, mark: str) -> None:
        """Leave a mark once everything written so far is on disk."""
        with translate_errors("written"):
            self._shard.flush()
        write_generation(self._folder, mark)
        self.generation = mark

    def _update(self, operation: edge.UpdateOperation) -> None:
        with translate_errors("written"):
            self._shard.update(operation)


def _edge_point(point: Point) -> edge.Point:
    sparse = edge.SparseVector(indices=list(point.sparse.indices), values=list(point.sparse.values))
    vectors = {"dense": point.dense.tolist(), "sparse": sparse}
    return edge.Point(id=point.id, vector=vectors, payload=dict(point.payload))
