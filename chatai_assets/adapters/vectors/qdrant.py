"""The vector index in a Qdrant server, through qdrant-client, over REST or gRPC.

A collection is named by model and layout (``collection``), from the second index of a home on by its number as well; it
gets an alias once it is complete. Others reach the one that serves by the alias ``chatai``, which moves. Every write
waits until it is applied: the ledger confirms what it says, and the next writer must come after it. Payload indexes are
built without waiting; filters are right without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from chatai_assets.adapters.vectors.base import Hit, Point, Query, point_of
from chatai_assets.adapters.vectors.collection import TENANT, Collection, Layout, newest_layout
from chatai_assets.adapters.vectors.hybrid import fuse_hits
from chatai_assets.adapters.vectors.qdrant_search import build_requests, equal
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.locks import CheckLock, WriterLock

ALIAS = "chatai"
TIMEOUT_S = 30
UPSERT_POINTS = 250
"""Points of one request: with 1,536 dimensions as JSON about 8 MB; a server takes 32."""
DELETE_POINTS = 10_000
MARK = "mark"
"""Key of the generation in a collection's metadata (``storage.projection_ledger``)."""
PAGE = 1_000
"""Points per request when all are read."""


class QdrantVectors:
    """The ``VectorStore`` behind a URL; safe to share between threads.

    Args:
        url: of the REST port.
        dimensions: length of the dense vectors.
        model: the embedding model; a collection belongs to one model.
        turns: the writer lock, shared by all machines.
        api_key: sent with every request.
        grpc_port: port for all requests; None uses REST.
        timeout_s: seconds of one request.
        number: of the index; each index of a home has a collection of its own.
        layout: version of its payload indexes; None for the newest.

    Every method raises ``StoreUnavailable`` when the server cannot be reached, refuses, or holds the vectors of another
    model under the alias.
    """

    def __init__(
        self,
        url: str,
        dimensions: int,
        model: str,
        turns: WriterLock,
        *,
        api_key: str | None = None,
        grpc_port: int | None = None,
        timeout_s: int = TIMEOUT_S,
        number: int = 1,
        layout: int | None = None,
    ) -> None:
        self._url = url
        self._wanted = Collection(model, dimensions, layout or newest_layout())
        self._name = self._wanted.name if number == 1 else f"{self._wanted.name}-{number}"
        self._number = number
        self._writer_lock = turns
        self._api_key = api_key
        self._grpc_port = grpc_port
        self._timeout_s = timeout_s
        self._is_known = False

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @contextmanager
    def writing(self) -> Iterator[QdrantWriter]:
        """Hold the writer lock; searches do not wait. Creates the collection if it does not exist yet."""
        with self._writer_lock() as check_lock:
            if not self._is_there(recheck=True):
                with translate_errors("created"):
                    self._create()
            yield QdrantWriter(self._client, check_lock, self._name, self._read_generation())

    def generation(self) -> str | None:
        """Return the generation of the last write session; None if there is no collection."""
        return self._read_generation() if self._is_there(recheck=True) else None

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of a hybrid (dense + sparse) search, best first; none before the first write.

        ``ValueError`` when the query has no tenant filter: a search must not cross tenants.
        """
        if TENANT not in query.filters:
            raise ValueError("a search needs the filter tenant_id")
        if not self._is_there():
            return []
        with translate_errors("searched"):
            answers = self._client.query_batch_points(
                self._name, requests=build_requests(query), timeout=self._timeout_s
            )
        return fuse_hits(*(answer.points for answer in answers), query=query)

    def search_all(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the hits of each query."""
        return [self.search(query) for query in queries]

    def count(self, filters: Mapping[str, str] | None = None) -> int:
        """Return how many points there are, or how many hold all the given payload values."""
        if not self._is_there():
            return 0
        with translate_errors("counted"):
            return self._client.count(self._name, count_filter=equal(filters or {}), exact=True).count

    def compact(self) -> bool:
        """Return False: a server overwrites deleted points when it merges segments, which cannot be requested."""
        return False

    def remove(self) -> None:
        """Remove the collection and all its aliases."""
        with self._writer_lock() as check_lock:
            mine = [alias for alias, collection in self._aliases().items() if collection == self._name]
            check_lock()
            with translate_errors("removed"):
                self._client.update_collection_aliases([_unnamed(alias) for alias in mine])
                self._client.delete_collection(self._name)
            self._is_known = False

    def promote(self) -> None:
        """Point the public alias at this collection; the previous one keeps an alias of its own."""
        aliases = self._aliases()
        before = aliases.get(ALIAS)
        if before == self._name or self._name not in aliases.values():
            return
        freed: list[models.CreateAliasOperation | models.DeleteAliasOperation] = (
            [_named(f"{ALIAS}-{before}", before), _unnamed(ALIAS)] if before else []
        )
        with translate_errors("named"):
            self._client.update_collection_aliases([*freed, _named(ALIAS, self._name)])

    def points(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield id and payload of every point in the order of ids; may include concurrent writes."""
        for record in self._records(with_vectors=False):
            yield str(record.id), record.payload or {}

    def points_with_vectors(self) -> Iterator[Point]:
        """Yield every point with its vectors in the order of ids; may include concurrent writes."""
        for record in self._records(with_vectors=True):
            yield point_of(record)

    def _records(self, *, with_vectors: bool) -> Iterator[Any]:
        if not self._is_there():
            return
        offset = None
        while True:
            with translate_errors("read"):
                page, offset = self._client.scroll(
                    self._name, limit=PAGE, offset=offset, with_payload=True, with_vectors=with_vectors
                )
            yield from page
            if offset is None:
                return

    @cached_property
    def _client(self) -> QdrantClient:
        return QdrantClient(
            url=self._url,
            api_key=self._api_key,
            prefer_grpc=self._grpc_port is not None,
            grpc_port=self._grpc_port or 6334,
            timeout=self._timeout_s,
            check_compatibility=False,  # it would check in a thread and warn; incompatible requests fail anyway
        )

    def _is_there(self, *, recheck: bool = False) -> bool:
        """Return whether the collection exists and is complete; readers check once, writers each time."""
        if self._is_known and not recheck:
            return True
        aliases = self._aliases()
        is_there = self._name in aliases.values()
        if not is_there and self._number == 1 and aliases.keys() == {ALIAS}:
            raise StoreUnavailable(
                f"the vector index {aliases[ALIAS]} was made with another model than {self._wanted.model} "
                f"({self._wanted.dimensions} dimensions): rebuild the index or set the model back"
            )
        self._is_known = is_there
        return self._is_known

    def _aliases(self) -> dict[str, str]:
        """Return alias -> collection."""
        with translate_errors("read"):
            return {alias.alias_name: alias.collection_name for alias in self._client.get_aliases().aliases}

    def _read_generation(self) -> str | None:
        with translate_errors("read"):
            return (self._client.get_collection(self._name).config.metadata or {}).get(MARK)

    def _create(self) -> None:
        """Create the collection, its indexes and the alias; continues an interrupted creation."""
        name = self._name
        if not self._client.collection_exists(name):
            self._client.create_collection(
                name,
                vectors_config={
                    "dense": models.VectorParams(size=self._wanted.dimensions, distance=models.Distance.COSINE)
                },
                sparse_vectors_config={"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
            )
        for field, schema in _indexes(self._wanted.fields).items():
            self._client.create_payload_index(name, field, field_schema=schema, wait=False)
        alias = f"{ALIAS}-{name}" if ALIAS in self._aliases() else ALIAS
        self._client.update_collection_aliases([_named(alias, name)])
        self._is_known = True


class QdrantWriter:
    """Implements ``base.VectorWriter``; made by ``QdrantVectors.writing``."""

    def __init__(self, client: QdrantClient, check_lock: CheckLock, collection: str, generation: str | None) -> None:
        self._client = client
        self._check_lock = check_lock
        self._collection = collection
        self.generation = generation

    def upsert(self, points: Sequence[Point]) -> None:
        """Write whole points; the same id replaces vector and payload."""
        for start in range(0, len(points), UPSERT_POINTS):
            part = [_struct(point) for point in points[start : start + UPSERT_POINTS]]
            self._check_lock()
            with translate_errors("written"):
                self._client.upsert(self._collection, points=part, wait=True)

    def write_generation(self, generation: str) -> None:
        """Write the generation; all earlier writes have been applied."""
        self._check_lock()
        with translate_errors("written"):
            self._client.update_collection(self._collection, metadata={MARK: generation})
        self.generation = generation

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are no error."""
        for start in range(0, len(ids), DELETE_POINTS):
            part = models.PointIdsList(points=list(ids[start : start + DELETE_POINTS]))
            self._check_lock()
            with translate_errors("written"):
                self._client.delete(self._collection, points_selector=part, wait=True)


def _named(alias: str, collection: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=alias))


def _unnamed(alias: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))


@contextmanager
def translate_errors(done: str) -> Iterator[None]:
    """Raise errors of qdrant-client as ``StoreUnavailable`` without the response, which may quote a payload."""
    try:
        yield
    except UnexpectedResponse as error:
        raise StoreUnavailable(f"the vector index cannot be {done}: HTTP {error.status_code}") from None
    except ResponseHandlingException as error:
        raise StoreUnavailable(f"the vector index cannot be {done}: {type(error.source).__name__}") from error
    except grpc.RpcError as error:
        code = error.code().name if isinstance(error, grpc.Call) else type(error).__name__
        raise StoreUnavailable(f"the vector index cannot be {done}: {code}") from None
    except (ApiException, QdrantException) as error:
        raise StoreUnavailable(f"the vector index cannot be {done}: {type(error).__name__}") from None


def _indexes(fields: Layout) -> dict[str, models.KeywordIndexParams | models.IntegerIndexParams]:
    keywords = {
        name: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=name == TENANT)
        for name in fields.keywords
    }
    integers = {name: models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER) for name in fields.integers}
    return {**keywords, **integers}


def _struct(point: Point) -> models.PointStruct:
    sparse = models.SparseVector(indices=list(point.sparse.indices), values=list(point.sparse.values))
    vectors: Any = {"dense": point.dense.tolist(), "sparse": sparse}
    return models.PointStruct(id=point.id, vector=vectors, payload=dict(point.payload))
