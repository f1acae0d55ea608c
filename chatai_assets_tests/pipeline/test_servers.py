"""What is particular when PostgreSQL, Qdrant and Neo4j hold what the stages write."""

import threading

import pytest
from sqlalchemy import text

from chatai_assets.adapters.graph.ladybug_writer import LadybugWriter
from chatai_assets.adapters.graph.neo4j import Neo4jWriter
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.services import Services
from chatai_assets_tests.pipeline.test_engine import NEW, OLD, PART, PATIENCE_S, Hesitating, expected
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.pipeline import (
    contents,
    differences,
    due_hours,
    find_inconsistencies,
    ingest_files,
    ingest_posts,
    message,
    migrated_settings,
    process_all,
    read_status,
    run,
    stage_run_config,
)

HISTORY = (corpus.posts(3, 60), corpus.edits(3, corpus.posts(3, 60), 0.5))
HOLDERS = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.mark.scenario
def test_the_whole_job_comes_to_the_same_on_servers_as_embedded(tmp_path, servers):
    posts = corpus.posts(1, 200)
    edits = corpus.edits(1, posts, 0.2)
    files = corpus.write_documents(1, tmp_path / "files", 8)
    found = []
    for name, chosen in (("embedded", {}), ("servers", servers)):
        with Services(migrated_settings(tmp_path / name, chosen)) as services:
            ingest_posts(services, posts)
            ingest_files(services, files)
            process_all(services)
            ingest_posts(services, edits)
            process_all(services)
            found.append(
                (
                    read_status(services),
                    contents(services),
                )
            )
    (embedded, held_embedded), (served, held_served) = found
    assert served == embedded
    assert served["posts"]["searchable"] > 150
    assert differences(held_embedded, held_served) == []
    assert find_inconsistencies(held_served) == []


@pytest.mark.scenario
def test_many_small_transactions_leave_what_a_large_one_does(tmp_path, services, monkeypatch):
    found = []
    with Services(migrated_settings(tmp_path / "large")) as other:
        for home in (other, services):
            for arrivals in HISTORY:
                ingest_posts(home, arrivals)
                process_all(home)
            found.append(contents(home))
            for writer in (LadybugWriter, Neo4jWriter):
                monkeypatch.setattr(writer, "max_parts", 50)
    assert len(found[0]["edges"]) > 100
    assert differences(*found) == []
    assert find_inconsistencies(found[1]) == []


@pytest.mark.parametrize("stage", ["index", "link"])
def test_an_old_revision_that_lost_its_turn_never_wins(tmp_path, servers, stage):
    reached, may_go = threading.Event(), threading.Event()
    settings, outcome = migrated_settings(tmp_path / "home", servers), []
    with Services(settings) as services, Services(settings) as slow:
        ingest_posts(services, [message(1, OLD), message(2, "Вчера Иван видел Лондон рядом.")])
        process_all(services, stages=ITEM_STAGES[: ITEM_STAGES.index(stage)])
        slow.__dict__[PART[stage]] = Hesitating(getattr(slow, PART[stage]), reached, may_go)
        (hour,) = due_hours(slow, "posts")

        def write_late():
            with pytest.raises(StoreUnavailable) as caught:
                run(stage, stage_run_config("posts", hour), slow)
            outcome.append(str(caught.value))

        thread = threading.Thread(target=write_late)
        thread.start()
        assert reached.wait(PATIENCE_S)
        with services.records.begin() as connection:  # whoever holds a turn is cut off from PostgreSQL
            assert connection.execute(text(HOLDERS)).scalars().all() == [True]
        ingest_posts(services, [message(1, NEW, edited=1_700_000_100)])
        process_all(services)
        may_go.set()
        thread.join(PATIENCE_S)
        assert "record store cannot be used" in outcome[0]
        process_all(services)
        found = contents(services)
    assert find_inconsistencies(found) == []
    assert differences(expected(tmp_path), found) == []


def test_a_server_that_fails_uses_no_attempt_and_the_next_run_goes_on(tmp_path, database_url, qdrant):
    servers = {"DATABASE_URL": database_url, "QDRANT_URL": qdrant.url}
    with Services(migrated_settings(tmp_path, servers)) as services:
        ingest_posts(services, [message(number, OLD) for number in range(1, 6)])
        qdrant.status = 503
        with pytest.raises(StoreUnavailable, match="HTTP 503"):
            process_all(services)
        with services.records.reading() as connection:
            waiting = "SELECT DISTINCT state, attempts, owner FROM work WHERE stage = 'index'"
            assert [tuple(row) for row in connection.execute(text(waiting))] == [("pending", 0, None)]
        qdrant.status = 0
        process_all(services)
        assert services.vectors.count() > 5
        assert find_inconsistencies(contents(services)) == []
