"""A projection that was lost, damaged or restored from another day is written again, to what it would have been."""

import shutil
import subprocess
import sys

import pytest

from chatai_assets.orchestration.projection_monitor import ProjectionMonitor
from chatai_assets.pipeline.engine import reclaim_dead_leases
from chatai_assets.pipeline.projections.recovery import is_lost, rebuild
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.pipeline import (
    contents,
    differences,
    find_inconsistencies,
    ingest_files,
    ingest_posts,
    message,
    migrated_settings,
    process_all,
    read_status,
    rows,
)
from chatai_assets_tests.support.servers import empty_graph

pytestmark = pytest.mark.one_worker

POSTS = corpus.posts(3, 60)
EDITS = corpus.edits(3, POSTS, 0.3)
KILLED_IN_RECOVERY = """
import os, signal, sys
from pathlib import Path
from chatai_assets.pipeline.projections import recovery
from chatai_assets.services import Services
from chatai_assets.storage import projection_ledger
from chatai_assets_tests.support.pipeline import migrated_settings

def mortal(function, passings):
    def wrapped(*arguments):
        mortal.left -= 1
        if mortal.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    mortal.left = passings
    return wrapped

recovery.ITEMS = recovery.HOLDINGS = 20
name, passings = sys.argv[2], int(sys.argv[3])
module = recovery if hasattr(recovery, name) else projection_ledger
setattr(module, name, mortal(getattr(module, name), passings))
with Services(migrated_settings(Path(sys.argv[1]))) as services:
    for probe in services.projections:
        recovery.rebuild(services.records, probe)
"""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A home in which nothing went wrong: what it holds after the first day and after the second."""
    folder = tmp_path_factory.mktemp("quiet")
    with Services(migrated_settings(folder / "home")) as services:
        ingest_posts(services, POSTS)
        ingest_files(services, documents(folder))
        process_all(services)
        first = contents(services)
        shutil.copytree(folder / "home", folder / "first day")
        ingest_posts(services, EDITS)
        process_all(services)
        return folder, first, contents(services)


@pytest.fixture
def home(quiet, tmp_path):
    """A copy of the home after the second day."""
    shutil.copytree(quiet[0] / "home", tmp_path / "home")
    return tmp_path / "home"


def documents(folder):
    return corpus.write_documents(3, folder / "files", 4)


def finished(services):
    """Do what ``process`` does: look for losses, then do what is due until nothing is."""
    reclaim_dead_leases(services.records)
    ProjectionMonitor().check(services)
    while process_all(services):
        pass
    return contents(services)


def restored(folder, day, name):
    """Put a store of another day in the place of that of today."""
    target = folder / name
    shutil.rmtree(target) if target.is_dir() else [file.unlink() for file in folder.glob(f"{name}*")]
    for source in (day / name,) if (day / name).is_dir() else day.glob(f"{name}*"):
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / source.name)


@pytest.mark.parametrize("name", ["graph", "vectors"])
def test_a_folder_that_was_removed_is_written_again_though_nothing_else_is_due(quiet, home, name):
    shutil.rmtree(home / name)
    with Services(migrated_settings(home)) as services:
        assert read_status(services)["lost"] == [name]
        found = finished(services)
        assert read_status(services)["lost"] == []
    assert differences(quiet[2], found) == []
    assert find_inconsistencies(found) == []


@pytest.mark.parametrize("name", ["graph", "vectors"])
def test_a_store_of_the_day_before_is_brought_up_to_date_and_nothing_stale_stays(quiet, home, name):
    restored(home, quiet[0] / "first day", name)
    with Services(migrated_settings(home)) as services:
        found = finished(services)
    assert differences(quiet[2], found) == []
    assert find_inconsistencies(found) == []


@pytest.mark.scenario
def test_a_record_store_of_the_day_before_takes_its_newer_stores_back(quiet, home):
    restored(home, quiet[0] / "first day", "records.sqlite")
    with Services(migrated_settings(home)) as services:
        found = finished(services)
        assert differences(quiet[1], found) == []
        ingest_posts(services, EDITS)
        found = finished(services)
    assert differences(quiet[2], found) == []


@pytest.mark.scenario
@pytest.mark.parametrize("place", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("noticed_by", ["the next run", "status"])
def test_a_log_of_a_killed_writer_with_flipped_bytes_costs_nothing(quiet, home, tmp_path, place, noticed_by):
    restored(home, quiet[0] / "first day", "graph")
    restored(home, quiet[0] / "first day", "vectors")
    restored(home, quiet[0] / "first day", "records.sqlite")
    with Services(migrated_settings(home)) as services:
        ingest_posts(services, EDITS)
        command = [
            sys.executable,
            "-m",
            "chatai_assets_tests.support.crash_injection",
            str(home),
            "--die-at",
            "graph written",
        ]
        assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == -9
        file = home / "graph" / "graph.lbug.wal"
        log = bytearray(file.read_bytes())
        at = int(len(log) * place)
        log[at : at + 8] = bytes(255 - byte for byte in log[at : at + 8])
        file.write_bytes(log)
        if noticed_by == "status":
            read_status(services)
        found = finished(services)
    assert differences(quiet[2], found) == []
    assert find_inconsistencies(found) == []


@pytest.mark.scenario
@pytest.mark.parametrize("day", ["empty", "first day"])
@pytest.mark.parametrize(
    ("name", "passings"),
    [("forget", 1), ("mark_unknown", 1), ("set_generations", 0)],
    ids=["forget", "suspect", "set marks"],
)
def test_a_kill_in_the_middle_of_recovery_makes_it_begin_anew(quiet, home, name, passings, day):
    for store in ("graph", "vectors"):
        shutil.rmtree(home / store) if day == "empty" else restored(home, quiet[0] / day, store)
    if not (day == "empty" and name == "mark_unknown"):
        command = [sys.executable, "-c", KILLED_IN_RECOVERY, str(home), name, str(passings)]
        assert subprocess.run(command, check=False).returncode == -9
    with Services(migrated_settings(home)) as services:
        found = finished(services)
    assert differences(quiet[2], found) == []
    assert find_inconsistencies(found) == []


def test_a_document_is_not_completed_while_a_lost_index_does_not_find_it(quiet, home):
    shutil.rmtree(home / "vectors")
    with Services(migrated_settings(home)) as services:
        completed = [row["source_key"] for row in rows(services, schema.documents) if row["status"] == "completed"]
        assert ProjectionMonitor().check(services)
        states = {row["source_key"]: row["status"] for row in rows(services, schema.documents)}
        assert {states[key] for key in completed} == {"processing"}
        assert read_status(services)["documents"]["searchable"] == 0
        finished(services)
        states = {row["source_key"]: row["status"] for row in rows(services, schema.documents)}
        assert {states[key] for key in completed} == {"completed"}


def test_a_store_lost_between_look_and_write_is_recovered_by_the_run_itself(quiet, home):
    with Services(migrated_settings(home)) as services:
        ingest_posts(services, [message(1, "Вчера Иван видел Лондон рядом.")])
        shutil.rmtree(home / "graph")
        shutil.rmtree(home / "vectors")
        process_all(services)
        assert not any(is_lost(services.records, projected) for projected in services.projections)
        while process_all(services):
            pass
        found = contents(services)
    assert find_inconsistencies(found) == []
    assert found["nodes"].keys() > quiet[2]["nodes"].keys()


def test_a_store_that_is_whole_is_left_alone(home):
    with Services(migrated_settings(home)) as services:
        assert [rebuild(services.records, projected) for projected in services.projections] == [0, 0]
        assert process_all(services) == []


def test_servers_that_lost_everything_are_filled_again(tmp_path, servers, quiet, qdrant):
    with Services(migrated_settings(tmp_path / "home", servers)) as services:
        ingest_posts(services, POSTS)
        ingest_files(services, sorted((quiet[0] / "files").iterdir()))
        process_all(services)
        for collection in qdrant.client.get_collections().collections:
            qdrant.client.delete_collection(collection.name)
        empty_graph(servers)
        assert [said.split()[1] for said in ProjectionMonitor().check(services)] == ["vectors", "graph"]
        found = finished(services)
    assert differences(quiet[1], found) == []
    assert find_inconsistencies(found) == []


def test_servers_are_looked_at_once_a_minute(tmp_path, servers, qdrant):
    lookout, asked = ProjectionMonitor(iter([0.0, 30.0, 59.0, 61.0]).__next__), []
    with Services(migrated_settings(tmp_path / "home", servers)) as services:
        for _ in range(4):
            lookout.check(services)
            asked.append(qdrant.calls["rest get_aliases"])
    assert asked == [1, 1, 1, 2]
