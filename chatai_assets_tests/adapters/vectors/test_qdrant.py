"""Against the stand-in of ``run_qdrant_stand_in``; see there for what that proves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from chatai_assets.adapters.vectors.edge import EdgeVectors
from chatai_assets.adapters.vectors.qdrant import QdrantVectors
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.locks import CheckLock
from chatai_assets_tests.support.qdrant_wire import QdrantStandIn, run_qdrant_stand_in
from chatai_assets_tests.support.servers import always_locked
from chatai_assets_tests.support.vector_store_contract import (
    DIMENSIONS,
    VectorStoreContract,
    found,
    point,
    question,
    write,
)

MODEL = "hashed@1"
NAME = "hashed-1-8-v1"


@pytest.fixture
def wire() -> Iterator[QdrantStandIn]:
    with run_qdrant_stand_in() as served:
        yield served


@pytest.fixture(params=["rest", "grpc"])
def store(wire: QdrantStandIn, request: pytest.FixtureRequest) -> Iterator[QdrantVectors]:
    with closing(opened(wire, grpc_port=wire.grpc_port if request.param == "grpc" else None)) as vectors:
        yield vectors


def opened(wire: QdrantStandIn, *, model: str = MODEL, grpc_port: int | None = None) -> QdrantVectors:
    return QdrantVectors(wire.url, DIMENSIONS, model, always_locked, grpc_port=grpc_port, timeout_s=5)


class TestQdrantVectors(VectorStoreContract):
    """The server's adapter keeps the contract over both protocols."""


def test_everything_goes_through_the_door_that_was_chosen(wire: QdrantStandIn, store: QdrantVectors):
    write(store, point(1))
    found(store, question(words="sea"))
    list(store.points())
    assert len({call.partition(" ")[0] for call in wire.calls}) == 1


def test_the_collection_is_behind_an_alias_with_an_index_for_each_field(wire: QdrantStandIn, store: QdrantVectors):
    write(store, point(1))
    (alias,) = wire.client.get_aliases().aliases
    assert (alias.alias_name, alias.collection_name) == ("chatai", NAME)
    keyword = {field for (_, field), schema in wire.indexes.items() if schema.type == "keyword"}
    integer = {field for (_, field), schema in wire.indexes.items() if schema.type == "integer"}
    assert keyword == {"tenant_id", "source", "kind", "channel", "language"}
    assert integer == {"published_at", "expires_at"}
    assert [field for (_, field), schema in wire.indexes.items() if getattr(schema, "is_tenant", None)] == ["tenant_id"]
    sparse = wire.client.get_collection(NAME).config.params.sparse_vectors
    assert sparse
    assert sparse["sparse"].modifier == models.Modifier.IDF


def test_points_are_waited_for_and_indexes_are_not(wire: QdrantStandIn, store: QdrantVectors):
    with store.writing() as writer:
        writer.upsert([point(n) for n in range(501)])
        writer.delete([point(0).id])
    counted = {call.partition(" ")[2]: count for call, count in wire.calls.items()}
    assert (counted["upsert wait"], counted["delete wait"], counted["index"]) == (3, 1, 7)
    assert "index wait" not in counted


def test_a_kill_before_the_alias_leaves_nothing_in_the_way(wire: QdrantStandIn, store: QdrantVectors):
    vectors = {"dense": models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)}
    sparse = {"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    wire.client.create_collection(NAME, vectors_config=vectors, sparse_vectors_config=sparse)
    assert store.count() == 0
    write(store, point(1))
    assert store.count() == 1


def test_an_index_of_another_model_is_neither_searched_nor_written(wire: QdrantStandIn, store: QdrantVectors):
    write(store, point(1))
    with closing(opened(wire, model="another@2")) as other:
        with pytest.raises(StoreUnavailable, match="hashed-1-8-v1 was made with another model than another@2"):
            other.search(question())
        with pytest.raises(StoreUnavailable, match="another@2"), other.writing():
            pass


def test_the_alias_moves_to_what_serves_and_both_are_still_there(wire: QdrantStandIn, store: QdrantVectors):
    write(store, point(1))
    with closing(QdrantVectors(wire.url, DIMENSIONS, "another@2", always_locked, number=2)) as other:
        write(other, point(1), point(2))
        assert aliases(wire) == {"chatai": NAME, "chatai-another-2-8-v1-2": "another-2-8-v1-2"}
        for _ in range(2):
            other.promote()
        assert aliases(wire) == {
            "chatai": "another-2-8-v1-2",
            f"chatai-{NAME}": NAME,
            "chatai-another-2-8-v1-2": "another-2-8-v1-2",
        }
        assert (store.count(), other.count()) == (1, 2)
        store.remove()
        assert (store.count(), other.count()) == (0, 2)
        assert [each.name for each in wire.client.get_collections().collections] == ["another-2-8-v1-2"]


def aliases(wire: QdrantStandIn) -> dict[str, str]:
    return {alias.alias_name: alias.collection_name for alias in wire.client.get_aliases().aliases}


@pytest.mark.parametrize("port", [None, 1], ids=["rest", "grpc"])
def test_a_server_that_is_not_there_is_an_outage(port: int | None):
    gone = pytest.raises(StoreUnavailable, match=r"the vector index cannot be read: (ConnectError|UNAVAILABLE)")
    store = QdrantVectors("http://127.0.0.1:1", DIMENSIONS, MODEL, always_locked, grpc_port=port, timeout_s=2)
    with closing(store), gone:
        store.search(question())


def test_a_server_that_fails_is_an_outage_in_one_sentence_that_quotes_nothing(
    wire: QdrantStandIn, store: QdrantVectors
):
    write(store, point(1))
    wire.status = 500
    with pytest.raises(StoreUnavailable, match=r"cannot be searched: (HTTP 500|UNAVAILABLE)") as caught:
        store.search(question())
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="cannot be read"), store.writing():
        pass
    wire.status = 429
    with pytest.raises(StoreUnavailable, match="cannot be counted"):
        store.count()


def test_the_key_is_sent(wire: QdrantStandIn):
    wire.api_key = "right"
    store = QdrantVectors(wire.url, DIMENSIONS, MODEL, always_locked, api_key="right")
    with pytest.warns(UserWarning, match="insecure connection"):
        write(store, point(1))
    assert store.count() == 1
    store.close()
    with closing(opened(wire)) as keyless, pytest.raises(StoreUnavailable, match="HTTP 401"):
        keyless.count()


def test_who_has_lost_the_turn_writes_nothing(wire: QdrantStandIn):
    def lost() -> None:
        raise StoreUnavailable("the turn was lost")

    @contextmanager
    def soon_lost() -> Iterator[CheckLock]:
        yield lost

    with closing(QdrantVectors(wire.url, DIMENSIONS, MODEL, soon_lost)) as store:
        with store.writing() as writer:
            with pytest.raises(StoreUnavailable, match="turn was lost"):
                writer.upsert([point(1)])
            with pytest.raises(StoreUnavailable, match="turn was lost"):
                writer.delete([point(1).id])
        assert store.count() == 0


def test_a_search_answers_as_the_embedded_index_does(store: QdrantVectors, tmp_path):
    embedded = EdgeVectors(tmp_path, DIMENSIONS, MODEL)
    words, random = ["кит", "море", "whale", "sea", "the"], np.random.default_rng(1)
    texts = [" ".join(random.choice(words, size=random.integers(1, 9))) for _ in range(200)]
    points = [
        point(n, angle=n / 50, words=text, language="ru" if "и" in text else "en", tenant="ab"[n % 3 == 0])
        for n, text in enumerate(texts)
    ]
    for index in (embedded, store):
        write(index, *points)
    for query in (question(angle=0.7, words="кит sea"), question(angle=2.0, words="whale"), question(angle=1.1)):
        ours, theirs = store.search(query), embedded.search(query)
        assert [hit.id for hit in ours] == [hit.id for hit in theirs]
        assert [hit.score for hit in ours] == pytest.approx([hit.score for hit in theirs], abs=1e-4)


def test_the_stand_in_is_that_of_the_installed_client(wire: QdrantStandIn):
    with closing(QdrantClient(url=wire.url, check_compatibility=False)) as client:
        assert client.collection_exists("nothing") is False
