"""The vector index in a Qdrant server, through qdrant-client, over REST or gRPC.

A collection is named by model and layout (``collection``) and is reached through an alias, so that a new one can be
filled beside it and take its place at once. Every write waits until it is applied: the ledger confirms what it says,
and the next writer must come after it. Payload indexes are built without waiting; filters are right without them.
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

from chatai_assets.adapters.turns import StillMine, Turns
from chatai_assets.adapters.vectors.collection import INTEGERS, KEYWORDS, TENANT, Collection
from chatai_assets.adapters.vectors.hybrid import fused
from chatai_assets.adapters.vectors.port import Hit, Point, Query, point_of
from chatai_assets.adapters.vectors.server_search import equal, requests_of
from chatai_assets.domain.errors import StoreUnavailable

ALIAS = "chatai"
TIMEOUT_S = 30
UPSERT_POINTS = 250
"""Points of one request: with 1,536 dimensions as JSON about 8 MB; a server takes 32."""
DELETE_POINTS = 10_000
MARK = "mark"
"""Where a collection's metadata tells the mark of the last turn of writing (``records.marks``)."""
PAGE = 1_000
"""Points read at a time while all are walked through."""


class QdrantVectors:
    """The ``VectorStore`` behind a URL; safe to share between threads.

    Args:
        url: of the REST port.
        dimensions: length of the dense vectors.
        model: who made them; a collection belongs to one model.
        turns: one writer at a time, on whichever machine.
        api_key: sent with every request.
        grpc_port: carries everything if it is given.
        timeout_s: of one request.

    Every method raises ``StoreUnavailable`` when the server cannot be reached, refuses, or holds the vectors of another
    model under the alias.
    """

    def __init__(
        self,
        url: str,
        dimensions: int,
        model: str,
        turns: Turns,
        *,
        api_key: str | None = None,
        grpc_port: int | None = None,
        timeout_s: int = TIMEOUT_S,
    ) -> None:
        self._url = url
        self._wanted = Collection(model, dimensions)
        self._turns = turns
        self._api_key = api_key
        self._grpc_port = grpc_port
        self._timeout_s = timeout_s
        self._is_known = False

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @contextmanager
    def writing(self) -> Iterator[QdrantWriter]:
        """Hold the turn at the index; searches do not wait. Makes the collection if it is not there yet."""
        with self._turns() as still_mine:
            if not self._is_there(anew=True):
                with failing_as_outage("created"):
                    self._create()
            yield QdrantWriter(self._client, still_mine, self._wanted.name, self._mark())

    def mark(self) -> str | None:
        """Return what the last turn of writing left; None where there is no collection."""
        return self._mark() if self._is_there(anew=True) else None

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of a hybrid (dense + sparse) search, best first; none before the first write.

        ``ValueError`` when the query names no tenant: nobody searches in what belongs to others.
        """
        if TENANT not in query.filters:
            raise ValueError("a search needs the filter tenant_id")
        if not self._is_there():
            return []
        with failing_as_outage("searched"):
            answers = self._client.query_batch_points(ALIAS, requests=requests_of(query), timeout=self._timeout_s)
        return fused(*(answer.points for answer in answers), query=query)

    def count(self, filters: Mapping[str, str] | None = None) -> int:
        """Return how many points there are, or how many hold all the given payload values."""
        if not self._is_there():
            return 0
        with failing_as_outage("counted"):
            return self._client.count(ALIAS, count_filter=equal(filters or {}), exact=True).count

    def scrub(self) -> bool:
        """Return False: a server overwrites deleted points when it merges segments, and nobody can ask for that."""
        return False

    def points(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield id and payload of every point in the order of ids; what is written meanwhile may be among them."""
        for record in self._records(with_vectors=False):
            yield str(record.id), record.payload or {}

    def whole_points(self) -> Iterator[Point]:
        """Yield every point with its vectors in the order of ids; what is written meanwhile may be among them."""
        for record in self._records(with_vectors=True):
            yield point_of(record)

    def _records(self, *, with_vectors: bool) -> Iterator[Any]:
        if not self._is_there():
            return
        offset = None
        while True:
            with failing_as_outage("read"):
                page, offset = self._client.scroll(
                    ALIAS, limit=PAGE, offset=offset, with_payload=True, with_vectors=with_vectors
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
            check_compatibility=False,  # it would ask from a thread and warn; whatever does not fit fails by itself
        )

    def _is_there(self, *, anew: bool = False) -> bool:
        """Return whether the alias names a collection, which then is ours; readers ask once, writers each time."""
        if self._is_known and not anew:
            return True
        with failing_as_outage("read"):
            aliases = {alias.alias_name: alias.collection_name for alias in self._client.get_aliases().aliases}
        found = aliases.get(ALIAS)
        if found not in {None, self._wanted.name}:
            raise StoreUnavailable(
                f"the vector index {found} was made with another model than {self._wanted.model} "
                f"({self._wanted.dimensions} dimensions): rebuild the index or set the model back"
            )
        self._is_known = found is not None
        return self._is_known

    def _mark(self) -> str | None:
        with failing_as_outage("read"):
            return (self._client.get_collection(ALIAS).config.metadata or {}).get(MARK)

    def _create(self) -> None:
        """Make the collection, its indexes and the alias; whatever a kill left unfinished is taken up."""
        name = self._wanted.name
        if not self._client.collection_exists(name):
            self._client.create_collection(
                name,
                vectors_config={
                    "dense": models.VectorParams(size=self._wanted.dimensions, distance=models.Distance.COSINE)
                },
                sparse_vectors_config={"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
            )
        for field, schema in _indexes().items():
            self._client.create_payload_index(name, field, field_schema=schema, wait=False)
        alias = models.CreateAlias(collection_name=name, alias_name=ALIAS)
        self._client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        self._is_known = True


class QdrantWriter:
    """Implements ``port.VectorWriter``; made by ``QdrantVectors.writing``."""

    def __init__(self, client: QdrantClient, still_mine: StillMine, collection: str, mark: str | None) -> None:
        self._client = client
        self._still_mine = still_mine
        self._collection = collection
        self.mark = mark

    def upsert(self, points: Sequence[Point]) -> None:
        """Write whole points; the same id replaces vector and payload."""
        for start in range(0, len(points), UPSERT_POINTS):
            part = [_struct(point) for point in points[start : start + UPSERT_POINTS]]
            self._still_mine()
            with failing_as_outage("written"):
                self._client.upsert(ALIAS, points=part, wait=True)

    def sign(self, mark: str) -> None:
        """Leave a mark; whatever was written before has been applied."""
        self._still_mine()
        with failing_as_outage("written"):
            self._client.update_collection(self._collection, metadata={MARK: mark})
        self.mark = mark

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are no error."""
        for start in range(0, len(ids), DELETE_POINTS):
            part = models.PointIdsList(points=list(ids[start : start + DELETE_POINTS]))
            self._still_mine()
            with failing_as_outage("written"):
                self._client.delete(ALIAS, points_selector=part, wait=True)


@contextmanager
def failing_as_outage(done: str) -> Iterator[None]:
    """Turn what qdrant-client raises into ``StoreUnavailable``; answers are not told, for they may quote a payload."""
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


def _indexes() -> dict[str, models.KeywordIndexParams | models.IntegerIndexParams]:
    keywords = {
        name: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=name == TENANT)
        for name in KEYWORDS
    }
    integers = {name: models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER) for name in INTEGERS}
    return {**keywords, **integers}


def _struct(point: Point) -> models.PointStruct:
    sparse = models.SparseVector(indices=list(point.sparse.indices), values=list(point.sparse.values))
    vectors: Any = {"dense": point.dense.tolist(), "sparse": sparse}
    return models.PointStruct(id=point.id, vector=vectors, payload=dict(point.payload))
