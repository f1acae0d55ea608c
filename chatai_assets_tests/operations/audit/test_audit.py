"""An audit finds all that is not as it should be, and nothing else; a repair mends it."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from sqlalchemy import event

from chatai_assets.adapters.vectors import edge
from chatai_assets.adapters.vectors.base import Point, Sparse
from chatai_assets.domain.graph.changes import EDGE_TYPES, EdgeRef, GraphChange
from chatai_assets.domain.graph.subgraph import Edge, Node
from chatai_assets.domain.ids import point_id
from chatai_assets.operations.audit.audit import BATCH_POINTS, audit
from chatai_assets.storage.embeddings import vectors_of_chunks
from chatai_assets.storage.items import ChunkKey
from chatai_assets_tests.scenarios import tampering
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.pipeline import (
    contents,
    differences,
    find_inconsistencies,
    ingest_posts,
    message,
    process_all,
)


@pytest.fixture
def filled(services):
    """A home with forty posts."""
    ingest_posts(services, corpus.posts(7, 40))
    process_all(services)
    return services


def audits(services, **options):
    return [audit(services.records, each, **options) for each in services.audited]


def told(services, **options):
    return [dict(report.differences) for report in audits(services, **options)]


def test_what_runs_have_written_agrees(filled):
    vectors, graph = audits(filled)
    assert (vectors.agrees, graph.agrees) == (True, True)
    assert vectors.found == vectors.expected == filled.vectors.count() > 0
    assert graph.found == graph.expected == sum(1 for _ in filled.graph.nodes()) + sum(1 for _ in filled.graph.edges())


def test_no_table_is_read_as_a_whole_for_a_page_of_points(embedded):
    asked = []
    with embedded.records.reading() as connection:
        event.listen(connection, "before_cursor_execute", lambda *told: asked.append(told[2:4]))
        vectors_of_chunks(
            connection, [ChunkKey("t", f"tg/1/{number}", "body", 0) for number in range(BATCH_POINTS)], "model"
        )
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0][0]}", asked[0][1]).all()
    assert [row[3] for row in plan if "SCAN" in row[3]] == ["SCAN listed VIRTUAL TABLE INDEX 1:"]


@pytest.mark.parametrize("left_over", [0, 1])
def test_every_point_is_walked_through_once_however_many_pages_there_are(filled, monkeypatch, left_over):
    points = dict(filled.vectors.points())
    monkeypatch.setattr(edge, "PAGE", 3)
    monkeypatch.setattr(edge, "PAGES", (len(points) - left_over) // 6)
    assert [point.id for point in filled.vectors.points_with_vectors()] == sorted(points)
    assert [point for point, _ in filled.vectors.points()] == sorted(points)


def test_an_empty_home_agrees(services):
    assert told(services) == [{}, {}]


def spoil_points(services, points):
    """Take three points away, alter payload, words and meaning of one each, add a nobody's and a somebody's."""
    gone, payload, words, meaning, model = points[:3], points[3], points[4], points[5], points[6]
    others = [
        Point(payload.id, payload.dense, payload.sparse, {**payload.payload, "title": "altered"}),
        Point(words.id, words.dense, Sparse([1], [1.0]), words.payload),
        Point(meaning.id, -meaning.dense, meaning.sparse, meaning.payload),
        Point(str(point_id("t", "tg/1/1", "body", 0)), model.dense, model.sparse, {"tenant_id": "t"}),
        Point(
            str(point_id("default", model.payload["source"], "body", 9)),
            model.dense,
            model.sparse,
            {**model.payload, "ordinal": 9},
        ),
    ]
    with services.vectors.writing() as writer:
        writer.upsert(others)
        writer.delete([point.id for point in gone])


@pytest.mark.scenario
def test_points_that_were_tampered_with_are_found_and_mended(filled):
    before = contents(filled)
    spoil_points(filled, Random(1).sample(list(filled.vectors.points_with_vectors()), 7))
    assert told(filled) == [{"missing": 3, "changed": 3, "extra": 2}, {}]
    (vectors, _) = audits(filled, repair=True)
    assert vectors.differences == Counter(missing=3, changed=3, extra=2)
    assert vectors.removed == 1
    process_all(filled)
    assert told(filled) == [{}, {}]
    assert differences(before, contents(filled)) == []


@pytest.mark.parametrize(
    "altered", [{"ordinal": 1 << 40}, {"ordinal": True}, {"part": "bo\0dy"}, {"source": 7}], ids=str
)
def test_a_payload_that_tells_of_no_chunk_is_found(filled, altered):
    point = next(filled.vectors.points_with_vectors())
    with filled.vectors.writing() as writer:
        writer.upsert([Point(point.id, point.dense, point.sparse, {**point.payload, **altered})])
    assert told(filled) == [{"changed": 1}, {}]


def spoil_graph(services, dice):
    """Take three edges and what then hangs loose away, alter an edge and a node, add an edge, two nodes."""
    edges = dice.sample([edge for edge in services.graph.edges() if edge.type != "RELATED"], 4)
    node = dice.choice([node for node in services.graph.nodes() if node.label == "Post"])
    mentions = next(edge for edge in services.graph.edges() if edge.type == "MENTIONS" and edge not in edges)
    tag = Node("Tag", "default|tag|никто", {"tenant_id": "default", "name": "никто"})
    source = edges[3].source
    stray = Edge("TAGGED", f"{source}|никто", edges[3].start, ("Tag", tag.id), source, {"tenant_id": "default"})
    lonely = Node("Tag", "default|tag|одинокий", {"tenant_id": "default", "name": "одинокий"})
    altered = Edge(
        **{name: getattr(mentions, name) for name in ("type", "id", "start", "end", "source")},
        properties={**mentions.properties, "count": 77},
    )
    with services.graph.writing() as writer:
        writer.apply(
            GraphChange(
                nodes=[tag, lonely, Node("Post", node.id, {**node.properties, "title": "altered"})],
                edges=[stray, altered],
                delete_edges=[EdgeRef(edge.type, edge.id, edge.start) for edge in edges[:3]],
            )
        )


@pytest.mark.scenario
@pytest.mark.parametrize("seed", [1, 2])
def test_a_graph_that_was_tampered_with_is_found_and_mended(filled, seed):
    before = contents(filled)
    spoil_graph(filled, Random(seed))
    assert told(filled) == [{}, {"missing": 3, "changed": 2, "extra": 3}]
    (_, graph) = audits(filled, repair=True)
    assert graph.differences == Counter(missing=3, changed=2, extra=3)
    process_all(filled)
    assert told(filled) == [{}, {}]
    assert differences(before, contents(filled)) == []
    assert find_inconsistencies(contents(filled)) == []


def test_what_was_written_while_it_looked_is_no_difference(filled):
    vectors, graph = filled.audited
    busy = iter(range(100))

    def while_others_write(audited):
        def found():
            ingest_posts(filled, [message(500 + next(busy), "Вчера Иван видел Лондон и город Казань.")])
            process_all(filled)
            yield from audited.found()

        return type(audited)(audited.name, found, audited.remove)

    for audited in (vectors, graph):
        report = audit(filled.records, while_others_write(audited), repair=True)
        assert (dict(report.differences), report.reopened, report.removed) == ({}, 0, 0)
    assert next(busy) == 4  # both looked twice


def test_examples_hold_no_words_of_a_text(filled):
    spoil_graph(filled, Random(3))
    (_, graph) = audits(filled)
    assert {example["part"] for example in graph.examples} <= EDGE_TYPES | {"Post", "Tag", "Entity", "Channel"}
    assert "никто" not in str(graph.examples)


def test_vectors_of_the_index_are_those_of_the_record_store(filled):
    for point in filled.vectors.points_with_vectors():
        assert abs(float(np.linalg.norm(point.dense)) - 1) < 1e-4
        assert len(point.sparse.indices) == len(point.sparse.values) > 0


@pytest.mark.scenario
def test_one_in_twenty_altered_by_hand_is_all_that_is_found(tmp_path):
    outcome = tampering.run(tmp_path, posts=200, share=0.05, seed=5)
    assert outcome.clean_code == 0
    assert len(outcome.tampered) > 20
    assert outcome.found == outcome.tampered
    assert all(report.agrees for report in outcome.after)
