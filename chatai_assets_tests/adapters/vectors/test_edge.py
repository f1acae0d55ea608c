from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from chatai_assets.adapters.vectors.edge import EdgeVectors
from chatai_assets.adapters.vectors.edge_collection import READ_AHEAD
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.locks import IndexLock
from chatai_assets_tests.support.vector_store_contract import (
    DIMENSIONS,
    VectorStoreContract,
    found,
    identity,
    point,
    question,
    write,
)

MODEL = "hashed@1"

PREAMBLE = """
import sys, time
from pathlib import Path
from chatai_assets.adapters.vectors.edge import EdgeVectors
from chatai_assets_tests.support.vector_store_contract import DIMENSIONS, point, question
store = EdgeVectors(Path(sys.argv[1]), DIMENSIONS, "hashed@1")
"""
KILLED_WHILE_SEARCHING = """
from chatai_assets.adapters.vectors.edge_alias import current
from chatai_assets.adapters.vectors.edge_collection import open_view
with open_view(current(Path(sys.argv[1])), to_search=sys.argv[2] == "search"):
    print("open", flush=True)
    time.sleep(60)
"""
HOLDING = """
from chatai_assets.adapters.vectors.edge_alias import current
from chatai_assets.adapters.vectors.edge_collection import open_shard
with open_shard(current(Path(sys.argv[1]))):
    print("open", flush=True)
    time.sleep(10)
"""
KILLED_WHILE_WRITING = """
for block in range(1_000):
    with store.writing() as writer:
        writer.upsert([point(n) for n in range(block * 100, block * 100 + 100)])
    print(block, flush=True)
"""
WRITER = """
first = int(sys.argv[2])
print(time.monotonic())
for block in range(3):
    with store.writing() as writer:
        for start in (first + block * 200, first + block * 200 + 100):
            writer.upsert([point(n, angle=n % 7, words="sea") for n in range(start, start + 100)])
print(time.monotonic())
"""
SEARCHER = """
while store.search(question(words="sea")):
    print(time.monotonic(), flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> EdgeVectors:
    return EdgeVectors(tmp_path / "vectors", DIMENSIONS, MODEL)


class TestEdgeVectors(VectorStoreContract):
    """Qdrant Edge keeps the contract."""


def start(code: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREAMBLE + code, str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


def test_looking_at_an_index_that_does_not_exist_makes_nothing(tmp_path: Path):
    EdgeVectors(tmp_path / "vectors", DIMENSIONS, MODEL).search(question())
    assert not (tmp_path / "vectors").exists()


def test_a_kill_loses_nothing_that_a_finished_block_wrote(tmp_path: Path):
    process = start(KILLED_WHILE_WRITING, tmp_path)
    assert process.stdout is not None
    finished = [int(process.stdout.readline()) for _ in range(4)][-1]
    time.sleep(0.03)
    process.send_signal(signal.SIGKILL)
    finished = max([finished, *(int(line) for line in process.stdout.read().split())])
    process.stdout.close()
    process.wait(10)
    kept = {key for key, _ in EdgeVectors(tmp_path, DIMENSIONS, MODEL).points()}
    assert kept >= {identity(n) for n in range((finished + 1) * 100)}
    write(EdgeVectors(tmp_path, DIMENSIONS, MODEL), point(500_000))


def test_a_kill_while_the_collection_is_made_leaves_nothing_in_the_way(store: EdgeVectors, tmp_path: Path):
    for leftover in ("hashed-1-8-v1.new", "hashed-1-8-v1"):
        (tmp_path / "vectors" / leftover / "shard" / "segments").mkdir(parents=True)
    write(store, point(1))
    assert store.count() == 1


@pytest.mark.scenario
def test_processes_take_turns_and_searches_do_not_wait_for_the_queue(tmp_path: Path):
    write(EdgeVectors(tmp_path, DIMENSIONS, MODEL), point(1_000_000, words="sea"))
    writers = [start(WRITER, tmp_path, str(first)) for first in (0, 2_000, 4_000)]
    searcher = start(SEARCHER, tmp_path)
    turns = [moments(writer.communicate(timeout=60)[0]) for writer in writers]
    searcher.kill()
    begun, ended = min(min(turn) for turn in turns), max(max(turn) for turn in turns)
    between = [moment for moment in moments(searcher.communicate(timeout=60)[0]) if begun < moment < ended]
    assert [process.returncode for process in (*writers, searcher)] == [0, 0, 0, -signal.SIGKILL]
    assert EdgeVectors(tmp_path, DIMENSIONS, MODEL).count() == 1_801
    assert len(between) >= 9, "as many as there are turns of writers"


def moments(printed: str) -> list[float]:
    return list(map(float, printed.split()))


def test_whoever_holds_the_index_too_long_makes_it_unavailable(store: EdgeVectors, tmp_path: Path):
    hasty = EdgeVectors(tmp_path / "vectors", DIMENSIONS, MODEL, turn_timeout_s=0.1)
    with store.writing():
        with pytest.raises(StoreUnavailable, match="busy"):
            hasty.search(question())
        with pytest.raises(StoreUnavailable, match="busy"), hasty.writing():
            pass


def test_searches_hold_the_index_side_by_side(store: EdgeVectors, tmp_path: Path):
    write(store, point(1, words="sea"))
    hasty = EdgeVectors(tmp_path / "vectors", DIMENSIONS, MODEL, turn_timeout_s=0.1)
    with IndexLock(tmp_path / "vectors", timeout_s=0.1).searching():
        assert found(hasty, question(words="sea")) == [identity(1)]
        with pytest.raises(StoreUnavailable, match="busy"), hasty.writing():
            pass


@pytest.mark.parametrize("looks", ["search", "walk"])
def test_a_killed_search_leaves_nothing_behind_after_the_next_write(store: EdgeVectors, tmp_path: Path, looks: str):
    write(store, point(1, words="sea"))
    before = sorted((tmp_path / "vectors").rglob("*"))
    searcher = start(KILLED_WHILE_SEARCHING, tmp_path / "vectors", looks)
    assert searcher.stdout is not None
    assert searcher.stdout.readline() == "open\n"
    searcher.kill()
    searcher.communicate(timeout=30)
    assert list((tmp_path / "vectors").glob("*/view-*"))
    write(store, point(1, words="sea"))
    assert sorted((tmp_path / "vectors").rglob("*")) == before
    assert found(store, question(words="sea")) == [identity(1)]


def test_threads_of_one_process_take_turns_as_well(store: EdgeVectors):
    threads = [Thread(target=write, args=(store, *(point(n) for n in range(k * 50, k * 50 + 50)))) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert store.count() == 150


def test_an_index_of_another_model_is_neither_searched_nor_written(store: EdgeVectors, tmp_path: Path):
    write(store, point(1))
    other = EdgeVectors(tmp_path / "vectors", DIMENSIONS, "another@2")
    with pytest.raises(StoreUnavailable, match="made with hashed@1"):
        other.search(question())
    with pytest.raises(StoreUnavailable, match="another@2"), other.writing():
        pass
    assert found(store, question()) == [identity(1)]


def test_a_full_disk_is_found_before_anything_is_written(tmp_path: Path):
    full = EdgeVectors(tmp_path / "vectors", DIMENSIONS, MODEL, min_free_bytes=1 << 60)
    with pytest.raises(StoreUnavailable, match="disk of the vector index is full"), full.writing():
        pass


@pytest.mark.parametrize("name", ["segment.json", "mutable_id_tracker.mappings", "edge_config.json", "about.json"])
@pytest.mark.parametrize("opens", ["searcher", "walker", "writer"])
def test_a_damaged_index_is_set_aside_and_a_new_one_begins(store: EdgeVectors, tmp_path: Path, name: str, opens: str):
    write(store, point(1))
    for damaged in tmp_path.rglob(name):
        damaged.write_bytes(b"\xff\x00rubbish" * 3)
    if opens == "searcher":
        assert store.search(question()) == []
    elif opens == "walker":
        assert list(store.points_with_vectors()) == []
    else:
        write(store, point(2))
    assert store.generation() is None
    write(store, point(2))
    assert found(store, question()) == [identity(2)]
    assert list(tmp_path.glob("vectors/lost-*/hashed-1-8-v1"))


def test_a_walk_is_spared_what_edge_reads_ahead_and_builds_for_searches(store: EdgeVectors, tmp_path: Path):
    write(store, point(1))
    (description,) = tmp_path.rglob("segment.json")
    assert description.read_bytes().count(READ_AHEAD) == 1
    assert description.with_name("payload_index").is_dir()


def test_an_index_whose_log_another_process_holds_is_not_taken_for_a_damaged_one(store: EdgeVectors, tmp_path: Path):
    write(store, point(1))
    with start(HOLDING, tmp_path / "vectors") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreUnavailable, match="cannot be opened"), store.writing():
            pass
        holder.kill()
    write(store, point(2))
    assert store.count() == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_index_that_may_not_be_written_is_an_outage(store: EdgeVectors, tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnavailable), store.writing():
        pass
