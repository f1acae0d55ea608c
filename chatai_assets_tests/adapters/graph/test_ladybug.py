import errno
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from itertools import islice

import pytest

from chatai_assets.adapters.graph import cypher, ladybug_reader, ladybug_session
from chatai_assets.adapters.graph.base import GraphCounts
from chatai_assets.adapters.graph.ladybug import LadybugGraph
from chatai_assets.adapters.graph.ladybug_generation import GRAPH
from chatai_assets.adapters.graph.ladybug_session import COMMITTED, open_database, query, translate_errors
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.extraction import Entity, Extraction
from chatai_assets.domain.graph.changes import EdgeRef, GraphChange
from chatai_assets.domain.graph.subgraph import Edge, Facts, Node, build_subgraph
from chatai_assets_tests.support.bad_disk import Fault, TracerMissing, inject_fault
from chatai_assets_tests.support.graph_writes import VERSIONS, changes, expected_parts, read_parts
from chatai_assets_tests.support.servers import skip_without

KILLS = 6
RUBBISH = b"something else" * 1000
DOCUMENT = build_subgraph(Facts("t", "doc/1", title="a secret", tags=("a",)))
ALL = GraphChange(nodes=DOCUMENT.nodes, edges=DOCUMENT.edges)
NAMED = build_subgraph(Facts("t", "doc/1", extractions={0: Extraction((Entity("Гоголя", "гоголь", "person"),))}))
MENTION = GraphChange(nodes=NAMED.nodes, edges=NAMED.edges)


def writer_from(folder, first, *options):
    command = [sys.executable, "-m", "chatai_assets_tests.support.graph_writes", str(folder), str(first), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed_after(folder, first, delay_s):
    """Return the number of the change that the next writer must begin with."""
    with writer_from(folder, first) as writer:
        writer.stdout.readline()
        time.sleep(delay_s)
        writer.kill()
        said = writer.stdout.read().splitlines()
    durable = [line.removeprefix("applied ") for line in said if line.startswith("applied")]
    return max([first, *(int(number) + 1 for number in durable)])


@pytest.mark.scenario
def test_applying_again_repairs_the_work_of_a_writer_killed_at_any_moment(tmp_path):
    moments = random.Random(2)
    first = 0
    for _ in range(KILLS):
        first = min(killed_after(tmp_path, first, moments.uniform(0, 0.3)), VERSIONS - 1)
    graph = LadybugGraph(tmp_path)
    for _, change in islice(changes(first), VERSIONS - first):
        with graph.writing() as writer:
            writer.apply(change)
    assert read_parts(graph) == expected_parts(VERSIONS - 1)


@pytest.mark.parametrize(("error", "advice"), [("ENOSPC", "free space"), ("EIO", "check that disk")])
def test_a_full_or_failing_disk_is_reported_and_the_process_survives(tmp_path, error, advice):
    with skip_without(TracerMissing), writer_from(tmp_path / "graph", 0, "--versions", "100") as writer:
        assert any(line.startswith("signed 1") for line in writer.stdout)
        log = Fault(error, [tmp_path / "graph" / f"{GRAPH}.wal"], spared=("pread64",))
        with inject_fault(writer.pid, log, Counter(), tmp_path / "strace.txt"):
            said, complaints = writer.communicate(timeout=60)
    assert writer.returncode == 1
    sentence = rf"StoreUnavailable: the graph cannot be \w+: {os.strerror(getattr(errno, error))}; {advice}"
    assert re.search(sentence, complaints)
    last = max(int(line.removeprefix("applied ")) for line in ["applied 1", *said.splitlines()] if "applied" in line)
    assert read_parts(LadybugGraph(tmp_path / "graph")) in (expected_parts(last), expected_parts(last + 1))


@pytest.mark.scenario
def test_a_graph_may_be_larger_than_the_memory_that_reading_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(ladybug_session, "BUFFER_BYTES", 16 << 20)
    graph = LadybugGraph(tmp_path)
    draw_six_thousand(graph)
    assert (tmp_path / GRAPH).stat().st_size > 16 << 20
    assert sum(node.label == "Document" for node in graph.nodes()) == 6_000


@pytest.mark.scenario
def test_a_graph_too_large_to_write_gives_advice_and_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(ladybug_session, "BUFFER_BYTES", 16 << 20)
    monkeypatch.setattr(ladybug_session, "MAX_BUFFER_BYTES", 16 << 20)
    graph = LadybugGraph(tmp_path)
    with pytest.raises(StoreUnavailable, match="needs more memory than an embedded graph may take; set NEO4J_URI"):
        draw_six_thousand(graph)
    assert 3_000 < sum(node.label == "Document" for node in graph.nodes()) < 6_000


def draw_six_thousand(graph):
    for first in range(0, 6_000, 300):
        drawn = [drawn_with_eight_names(number) for number in range(first, first + 300)]
        nodes = {node.id: node for each in drawn for node in each.nodes}
        with graph.writing() as writer:
            writer.apply(GraphChange(nodes=tuple(nodes.values()), edges=tuple(e for each in drawn for e in each.edges)))


def drawn_with_eight_names(number):
    names = [f"имя{number * factor % 5_003}" for factor in range(1, 9)]
    people = tuple(Entity(name.capitalize(), name, "person") for name in dict.fromkeys(names))
    tags = (f"t{number % 97}", f"u{number % 31}")
    return build_subgraph(
        Facts("t", f"doc/{number}", title="a title " * 6, tags=tags, extractions={0: Extraction(people)})
    )


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Buffer manager exception: Unable to allocate memory! The row was a secret.", "it needs more memory"),
        ("IO exception: Cannot write to file a secret. Error: No space left on device", "No space left .*; free space"),
    ],
    ids=["memory", "disk"],
)
def test_a_failed_checkpoint_after_a_commit_reports_the_reason_without_data(reason, told):
    committed = "Transaction committed successfully, but the post-commit checkpoint failed. " + COMMITTED
    expected = pytest.raises(StoreUnavailable, match=f"^the graph cannot be written: {told}")
    with expected as caught, translate_errors("written"):
        raise RuntimeError(committed + reason)
    assert "secret" not in str(caught.value)


def test_readers_see_whole_changes_while_another_process_writes(tmp_path):
    graph = LadybugGraph(tmp_path)
    whole = {GraphCounts(0, 0)}
    for number in range(VERSIONS):
        parts = expected_parts(number).values()
        whole.add(
            GraphCounts(sum(isinstance(part, Node) for part in parts), sum(isinstance(part, Edge) for part in parts))
        )
    seen = []
    with writer_from(tmp_path, 0) as writer:
        while writer.poll() is None:
            seen.append(graph.count())
    assert writer.returncode == 0
    assert set(seen) <= whole
    assert graph.count() in whole


def test_waiting_too_long_for_the_lock_is_an_error(tmp_path):
    patient, hasty = LadybugGraph(tmp_path), LadybugGraph(tmp_path, turn_timeout_s=0.05)
    with patient.writing() as writer:
        writer.apply(ALL)
        with pytest.raises(StoreUnavailable, match=r"no turn at it within 0\.05 s"):
            hasty.count()
    assert hasty.count() == GraphCounts(2, 1)


def test_two_readers_read_at_once(tmp_path):
    graph, hasty = LadybugGraph(tmp_path), LadybugGraph(tmp_path, turn_timeout_s=0.05)
    with graph.writing() as writer:
        writer.apply(ALL)
    for _ in graph.nodes():
        assert hasty.count() == GraphCounts(2, 1)


@pytest.mark.parametrize("opens", ["reader", "writer"])
def test_a_file_that_is_not_a_graph_is_quarantined_and_a_new_graph_created(tmp_path, opens):
    graph = LadybugGraph(tmp_path)
    with graph.writing() as writer:
        writer.apply(ALL)
        writer.write_generation("one")
    assert graph.generation() == "one"
    for number in range(2):
        (tmp_path / "graph.lbug").write_bytes(RUBBISH + bytes([number]))
        if opens == "reader":
            assert graph.count() == GraphCounts(0, 0)
        else:
            with graph.writing() as writer:
                assert writer.generation is None
        assert graph.generation() is None
    (lost,) = tmp_path.glob("lost-*/graph.lbug")
    assert lost.read_bytes() == RUBBISH + bytes([1])


def test_a_file_locked_by_another_process_does_not_count_as_damaged(tmp_path):
    with LadybugGraph(tmp_path).writing() as writer:
        writer.apply(ALL)
    holding = f"import ladybug, sys; d = ladybug.Database({str(tmp_path / 'graph.lbug')!r}); print(); sys.stdin.read()"
    command = [sys.executable, "-c", holding]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StoreUnavailable, match="IO exception"), LadybugGraph(tmp_path).writing():
            pass
        other.kill()
    assert LadybugGraph(tmp_path).count() == GraphCounts(2, 1)


def test_an_empty_file_becomes_a_graph(tmp_path):
    (tmp_path / "graph.lbug").touch()
    graph = LadybugGraph(tmp_path)
    assert graph.generation() is None
    with graph.writing() as writer:
        writer.apply(ALL)
    assert graph.count() == GraphCounts(2, 1)


@pytest.mark.parametrize("first", ["reader", "writer"])
def test_a_graph_of_an_earlier_version_gets_the_columns_it_lacks(tmp_path, first):
    graph = LadybugGraph(tmp_path)
    with graph.writing() as writer:
        writer.apply(MENTION)
        writer.write_generation("one")
    with open_database(tmp_path / "graph.lbug") as connection:
        for name in cypher.ADDED_LATER["MENTIONS"]:
            query(connection, f"ALTER TABLE MENTIONS DROP {name}")
    if first == "reader":
        (edge,) = graph.edges()
        assert edge.properties["forms"] is None
    with graph.writing() as writer:
        assert writer.generation == "one"
        writer.apply(MENTION)
    (edge,) = graph.edges()
    assert edge.properties["forms"] == "гоголь"


@pytest.mark.parametrize("cut", [0.3, 0.7, 1.0])
def test_a_truncated_log_is_cut_and_the_generation_shows_the_loss(tmp_path, cut):
    sizes = []
    with writer_from(tmp_path, 0) as process:
        for line in process.stdout:
            if line.startswith("signed"):
                sizes.append((tmp_path / "graph.lbug.wal").stat().st_size)
            if line == "signed 1\n":
                process.kill()
    file = tmp_path / "graph.lbug.wal"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * cut)])
    graph = LadybugGraph(tmp_path)
    with graph.writing() as writer:
        mark = writer.generation
    assert mark == graph.generation()
    assert read_parts(graph) == (expected_parts(int(mark)) if mark else {})
    assert (mark == "1") == (cut == 1.0)


def test_a_failed_change_writes_nothing_quotes_no_text_and_blocks_no_other(tmp_path):
    graph = LadybugGraph(tmp_path)
    with graph.writing() as writer:
        with pytest.raises(StoreUnavailable, match="the graph cannot be written") as caught:
            writer.apply(GraphChange(nodes=[*DOCUMENT.nodes, *DOCUMENT.nodes]))
        assert "doc/1" not in str(caught.value)
        with pytest.raises(KeyError):
            writer.apply(GraphChange(nodes=[*DOCUMENT.nodes, Node("Tag", "t|tag|b", {})]))
        writer.apply(ALL)
    assert graph.count() == GraphCounts(2, 1)


def test_a_graph_larger_than_the_buffer_pool_is_read(tmp_path, monkeypatch):
    parts: dict[str, Node | Edge] = {}
    for number in range(3_000):
        entities = (Entity("Гоголя " * 20, f"гоголь {(number + part) % 50}", "person") for part in range(8))
        parts |= build_subgraph(Facts("t", f"doc/{number}", extractions={0: Extraction(tuple(entities))})).parts
    graph = LadybugGraph(tmp_path)
    nodes = [part for part in parts.values() if isinstance(part, Node)]
    edges = [part for part in parts.values() if isinstance(part, Edge)]
    with graph.writing() as writer:
        writer.apply(GraphChange(nodes=nodes, edges=edges))
        writer.apply(GraphChange(delete_edges=[EdgeRef(each.type, each.id, each.start) for each in edges[:3_000]]))
    monkeypatch.setattr(ladybug_session, "BUFFER_BYTES", 16 << 20)
    monkeypatch.setattr(ladybug_reader, "BATCH_ROWS", 4_000)
    monkeypatch.setattr(ladybug_reader, "SIZE", 1_000)
    assert read_parts(graph).keys() == parts.keys() - {f"{each.type} {each.id}" for each in edges[:3_000]}


def test_a_writer_killed_while_creating_the_file_blocks_no_other(tmp_path):
    (tmp_path / "graph.draft").write_bytes(b"half")
    (tmp_path / "graph.draft.wal").write_bytes(b"half")
    graph = LadybugGraph(tmp_path)
    assert graph.count() == GraphCounts(0, 0)
    with graph.writing() as writer:
        writer.apply(ALL)
    assert graph.count() == GraphCounts(2, 1)
