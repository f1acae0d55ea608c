"""The embedded vector index: Qdrant Edge, Qdrant's own shard, in process and without a server.

Every search and every write session opens the shard and closes it again. Writers hold the lock exclusively, searches
share it (``files.locks``). A shard that cannot be opened any more is quarantined, and a new index is created.
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
from chatai_assets.adapters.vectors.collection import Collection, newest_layout
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
"""Points per request when all are read."""
PAGES = 10
"""Pages read per opening of the index: everything it has read stays in memory until it is closed."""


class EdgeVectors:
    """The embedded ``VectorStore``: good for about 150,000 points.

    Args:
        path: folder of the index; created by the first write.
        dimensions: length of the dense vectors.
        model: the embedding model; a collection belongs to one model.
        turn_timeout_s: seconds to wait for the lock.
        min_free_bytes: with less on the disk nothing is written: Edge maps its files into memory, and a full disk
            would kill the process by a signal.
        layout: version of its payload indexes; None for the newest.

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
        layout: int | None = None,
    ) -> None:
        self._path = path
        self._wanted = Collection(model, dimensions, layout or newest_layout())
        self._lock = IndexLock(path, turn_timeout_s)
        self._min_free_bytes = min_free_bytes

    def close(self) -> None:
        """Do nothing: it is open only while it is read or written."""

    @contextmanager
    def writing(self) -> Iterator[EdgeWriter]:
        """Lock the index for writing; writes are durable when the block ends.

        Release it every 3,000 points or so: searches wait meanwhile.
        """
        with self._write_shard() as shard:
            yield EdgeWriter(shard, self._collection_folder(), self._check_space)

    def generation(self) -> str | None:
        """Return the generation of the last write session without opening the index; None if there is none."""
        return generation_of_index(self._path)

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of a hybrid (dense + sparse) search, best first; none before the first write.

        ``ValueError`` when the query has no tenant filter: a search must not cross tenants.
        """
        return self.search_all([query])[0]

    def search_all(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the hits of each query; the index is opened once and stays open until the last is answered."""
        if any("tenant_id" not in query.filters for query in queries):
            raise ValueError("a search needs the filter tenant_id")
        with self._reading() as shard:
            return [[] if shard is None else search(shard, query) for query in queries]

    def count(self, filters: Mapping[str, str] | None = None) -> int:
        """Return how many points there are, or how many hold all the given payload values."""
        with self._reading() as shard:
            return 0 if shard is None else shard.count(edge.CountRequest(filter=equal(filters or {})))

    def points(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield id and payload of all points in the order of ids; the lock is released every 10,000."""
        yield from self._scroll(lambda record: (str(record.id), record.payload or {}), with_vector=False)

    def points_with_vectors(self) -> Iterator[Point]:
        """Yield all points with vectors in the order of ids; the lock is released every 10,000."""
        yield from self._scroll(point_of, with_vector=True)

    def _scroll(self, convert: Callable[[Any], T], *, with_vector: bool) -> Iterator[T]:
        """Yield every record, converted; only converted records stay in memory while the lock is released."""
        offset, is_first = None, True
        while is_first or offset is not None:
            is_first, records = False, list[T]()
            with self._reading(to_search=False) as shard:
                if shard is None:
                    return
                for _ in range(PAGES):
                    page, offset = shard.scroll(
                        edge.ScrollRequest(offset=offset, limit=PAGE, with_payload=True, with_vector=with_vector)
                    )
                    records += map(convert, page)
                    if offset is None:
                        break
            yield from records

    def compact(self) -> bool:
        """Copy the collection without deleted points, and remove the old one and quarantined files.

        Searches wait meanwhile: about a second per 5,000 points.
        """
        if current(self._path) is None:
            return True
        self._check_space(sum(file.stat().st_size for file in self._path.rglob("*") if file.is_file()))
        with self._lock.writing(), translate_errors("written"):
            with ExitStack() as stack:
                copied = collections.copy(self._open_exclusive(stack), old := self._collection_folder(), self._wanted)
            write_generation(copied, read_generation(old))
            point_alias(self._path, copied)
            collections.keep_only(copied, self._wanted)
        return True

    def promote(self) -> None:
        """Do nothing: an embedded index has no public alias."""

    def remove(self) -> None:
        """Remove the index and its contents."""
        if self._path.is_dir():
            with self._lock.writing(), translate_errors("removed"):
                rmtree(self._path)

    @contextmanager
    def _write_shard(self) -> Iterator[edge.EdgeShard]:
        with translate_errors("written"):
            self._path.mkdir(parents=True, exist_ok=True)
            self._check_space()
        with self._lock.writing(), ExitStack() as stack:
            try:
                shard = self._open_exclusive(stack)
            except StoreDamaged as error:
                self._quarantine(error)
                shard = self._open_exclusive(stack)
            yield shard

    def _open_exclusive(self, stack: ExitStack) -> edge.EdgeShard:
        """Open the current collection for writing, or create one; the caller holds the exclusive lock."""
        if current(self._path) is None:
            with translate_errors("created"):
                point_alias(self._path, collections.create(self._path, self._wanted))
        with translate_errors("written"):
            collections.clear_views(self._collection_folder())
        return stack.enter_context(collections.open_for_writing(self._collection_folder()))

    @contextmanager
    def _reading(self, *, to_search: bool = True) -> Iterator[edge.EdgeShard | None]:
        with ExitStack() as stack:
            try:
                shard = self._open_shared(stack, to_search=to_search)
            except StoreDamaged:
                stack.close()
                self._quarantine_if_damaged()
                shard = self._open_shared(stack, to_search=to_search)
            with translate_errors("read"):
                yield shard

    def _open_shared(self, stack: ExitStack, *, to_search: bool) -> edge.EdgeShard | None:
        """Open the current collection under the shared lock; None if there is none."""
        if current(self._path) is None:
            return None
        stack.enter_context(self._lock.searching())
        if collections.is_unfinished(self._collection_folder()):
            stack.close()
            return stack.enter_context(self._write_shard())
        return stack.enter_context(collections.open_view(self._collection_folder(), to_search=to_search))

    def _quarantine_if_damaged(self) -> None:
        """Open the collection under the exclusive lock, and quarantine it if it is still unreadable."""
        with self._lock.writing():
            try:
                with collections.open_shard(self._collection_folder()):
                    pass
            except StoreDamaged as error:
                self._quarantine(error)

    def _quarantine(self, error: StoreDamaged) -> None:
        folder, alias = current(self._path), self._path / ALIAS
        quarantine_files(self._path, [*([folder] if folder else []), alias], "vector index", str(error))

    def _collection_folder(self) -> Path:
        folder = current(self._path)
        if folder is None:
            raise StoreUnavailable("the vector index vanished while it was in use")
        found = collections.read_description(folder)
        if found != self._wanted:
            raise StoreUnavailable(
                f"the vector index was made with {found.model} ({found.dimensions} dimensions), but "
                f"{self._wanted.model} ({self._wanted.dimensions}) is in use: rebuild the index or set the model back"
            )
        return folder

    def _check_space(self, extra: int = 0) -> None:
        free = disk_usage(self._path).free
        if free < self._min_free_bytes + extra:
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

    def write_generation(self, generation: str) -> None:
        """Write the generation once everything written so far is on disk."""
        with translate_errors("written"):
            self._shard.flush()
        write_generation(self._folder, generation)
        self.generation = generation

    def _update(self, operation: edge.UpdateOperation) -> None:
        with translate_errors("written"):
            self._shard.update(operation)


def _edge_point(point: Point) -> edge.Point:
    sparse = edge.SparseVector(indices=list(point.sparse.indices), values=list(point.sparse.values))
    vectors = {"dense": point.dense.tolist(), "sparse": sparse}
    return edge.Point(id=point.id, vector=vectors, payload=dict(point.payload))
