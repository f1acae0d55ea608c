"""What every ``VectorStore`` must do; a test module of an implementation subclasses the suite and gives ``store``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from chatai_assets.adapters.vectors.base import Point, Query, Sparse, VectorStore
from chatai_assets.domain.search.sparse import query_terms, sparse_terms

DIMENSIONS = 8


def identity(number: int) -> str:
    return str(UUID(int=number + 1))


def direction(angle: float) -> np.ndarray:
    """A unit vector in the plane of the first two axes; cosines of two of them are those of their angles."""
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    vector[:2] = np.cos(angle), np.sin(angle)
    return vector


def point(number: int, *, angle: float = 0.0, words: str = "", tenant: str = "a", **payload: Any) -> Point:
    described = {"tenant_id": tenant, "source": f"tg/1/{number}", "kind": "post", "language": "ru", **payload}
    return Point(identity(number), direction(angle), Sparse(*sparse_terms(words.split())), described)


def question(*, angle: float = 0.0, words: str = "", limit: int = 10, **filters: str) -> Query:
    return Query(direction(angle), Sparse(*query_terms(words.split())), limit, {"tenant_id": "a", **filters})


def write(store: VectorStore, *points: Point) -> None:
    with store.writing() as writer:
        writer.upsert(points)


def found(store: VectorStore, query: Query) -> list[str]:
    return [hit.id for hit in store.search(query)]


class VectorStoreContract:
    """The suite."""

    def test_an_index_nobody_wrote_to_is_empty(self, store: VectorStore):
        assert store.search(question()) == []
        assert store.count() == 0
        assert list(store.points()) == []

    def test_the_mark_of_a_turn_is_found_by_a_look_and_by_the_next_turn(self, store: VectorStore):
        assert store.generation() is None
        for before, mark in ((None, "one"), ("one", "two")):
            with store.writing() as writer:
                assert writer.generation == before
                writer.upsert([point(1)])
                writer.write_generation(mark)
            assert store.generation() == mark
        assert store.count() == 1

    def test_what_was_written_is_found_with_its_payload(self, store: VectorStore):
        dates = {"published_at": 1_700_000_000, "expires_at": None}
        payload: Mapping[str, Any] = {"title": "Ёж", "url": None, "tags": ["a", "б"], "page": 3, **dates}
        written = point(1, words="whale", **payload)
        write(store, written)
        (hit,) = store.search(question(words="whale"))
        assert hit.id == written.id
        assert hit.payload == written.payload

    def test_the_nearest_in_meaning_comes_first(self, store: VectorStore):
        write(store, *(point(n, angle=n / 10) for n in range(10)))
        assert found(store, question(angle=0.31, limit=3)) == [identity(3), identity(4), identity(2)]

    def test_a_rare_word_lifts_the_text_that_holds_it(self, store: VectorStore):
        write(
            store, *(point(n, angle=0.5, words="the sea") for n in range(20)), point(20, angle=0.6, words="the whale")
        )
        assert found(store, question(angle=0.5, words="the whale", limit=1)) == [identity(20)]

    def test_scores_never_rise_down_the_list(self, store: VectorStore):
        write(store, *(point(n, angle=n / 7, words="sea " * n, language="ru" if n % 2 else "en") for n in range(12)))
        scores = [hit.score for hit in store.search(question(angle=0.4, words="sea"))]
        assert scores == sorted(scores, reverse=True)

    def test_a_passage_in_another_language_is_not_crowded_out_by_shared_words(self, store: VectorStore):
        noise = (point(n, angle=0.5, words="кит и море") for n in range(60))
        write(store, *noise, point(99, angle=0.05, words="the whale", language="en"))
        assert identity(99) in found(store, question(angle=0.0, words="кит море", limit=10))

    def test_languages_without_a_name_are_found_too(self, store: VectorStore):
        write(store, point(1, language=None), point(2, language="de"), point(3, language="ru"))
        assert sorted(found(store, question())) == [identity(1), identity(2), identity(3)]

    def test_nobody_finds_what_belongs_to_another_tenant(self, store: VectorStore):
        write(store, point(1, words="whale", tenant="b"), point(2, angle=1.5, words="sea"))
        assert found(store, question(words="whale")) == [identity(2)]

    def test_a_search_without_a_tenant_is_refused(self, store: VectorStore):
        with pytest.raises(ValueError, match="tenant_id"):
            store.search(Query(direction(0), Sparse([], []), 1, {}))

    def test_the_other_filters_hold_as_well(self, store: VectorStore):
        write(store, point(1, kind="post"), point(2, kind="document"))
        assert found(store, question(kind="document")) == [identity(2)]

    def test_writing_an_id_again_replaces_vectors_and_payload(self, store: VectorStore):
        write(store, point(1, angle=1.5, words="whale", title="old"), point(2, angle=0.2))
        write(store, point(1, angle=0.0, words="sea"))
        hits = store.search(question(words="sea"))
        assert [hit.id for hit in hits] == [identity(1), identity(2)]
        assert "title" not in hits[0].payload

    def test_deleted_points_are_gone_and_unknown_ids_are_no_error(self, store: VectorStore):
        write(store, point(1), point(2))
        with store.writing() as writer:
            writer.delete([identity(1), identity(77)])
            writer.delete([])
            writer.upsert([])
        assert [key for key, _ in store.points()] == [identity(2)]

    def test_what_was_removed_is_empty_and_may_be_written_again(self, store: VectorStore):
        store.remove()
        write(store, point(1))
        store.remove()
        assert (store.count(), store.generation(), store.search(question())) == (0, None, [])
        write(store, point(2))
        assert [key for key, _ in store.points()] == [identity(2)]

    def test_many_questions_are_answered_as_each_is(self, store: VectorStore):
        write(store, *(point(n, angle=n / 10, words="sea") for n in range(5)))
        asked = [question(angle=0.1), question(angle=0.4, words="sea")]
        assert store.search_all(asked) == [store.search(each) for each in asked]

    def test_an_error_of_the_caller_passes_through_and_what_was_written_before_stays(self, store: VectorStore):
        with pytest.raises(LookupError, match="mine"):
            self._write_and_fail(store)
        assert store.count() == 1

    def test_points_are_counted_by_payload(self, store: VectorStore):
        write(store, point(1), point(2, tenant="b"), point(3, tenant="b", kind="document"))
        assert store.count() == 3
        assert store.count({"tenant_id": "b"}) == 2
        assert store.count({"tenant_id": "b", "kind": "document"}) == 1

    def test_all_points_come_in_the_order_of_their_ids(self, store: VectorStore):
        with store.writing() as writer:
            for first in (6_000, 0, 3_000):
                writer.upsert([point(n) for n in range(first, first + 3_000)])
        walked = list(store.points())
        assert [key for key, _ in walked] == [identity(n) for n in range(9_000)]
        assert walked[1][1]["source"] == "tg/1/1"

    @staticmethod
    def _write_and_fail(store: VectorStore) -> None:
        with store.writing() as writer:
            writer.upsert([point(1)])
            raise LookupError("mine")
