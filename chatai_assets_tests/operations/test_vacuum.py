"""After a vacuum no file and no table holds a word of what was forgotten."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from chatai_assets.operations.erasure import erase_from_store, forget
from chatai_assets.operations.vacuum import vacuum
from chatai_assets.pipeline.inbox_folder import SETTLED_S, take_folder
from chatai_assets.pipeline.ingest import Intake
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets.storage.llm_responses import store_results
from chatai_assets_tests.support.erasure import (
    KEPT,
    POST,
    SECRETS,
    erasure_stores,
    find_traces,
    find_traces_in_projections,
    find_traces_in_tables,
    ingest_all,
    secret_document,
    secret_post,
)
from chatai_assets_tests.support.pipeline import (
    contents,
    find_inconsistencies,
    message,
    migrated_settings,
    process_all,
    rows,
)
from chatai_assets_tests.support.server_processes import Reach, ServerMissing, run_server
from chatai_assets_tests.support.servers import skip_without


def vacuum_all(services):
    return vacuum(erasure_stores(services), services.settings.inbox_folder, "default")


def drop(services, *files):
    """Let the inbox folder be taken in as the sensor does, some seconds later."""
    intake = Intake(services.records, services.blobs, "default", "folder", 1 << 20)
    newest = max(file.stat().st_ctime for file in files)
    return take_folder(services.settings.inbox_folder, intake, clock=lambda: newest + SETTLED_S)


@pytest.mark.scenario
def test_no_file_of_the_home_holds_a_word_of_it(embedded):
    services, home = embedded, embedded.settings.home
    folder = services.settings.inbox_folder
    document = secret_document(folder)
    export, innocent, other = folder / "a.jsonl", folder / "b.jsonl", folder / "c.txt"
    export.write_text("".join(json.dumps(each) + "\n" for each in (secret_post(), message(2, KEPT))), encoding="utf-8")
    innocent.write_text(json.dumps(message(3, KEPT)), encoding="utf-8")
    other.write_text("Цена и срок. Вчера Мария видела Париж.", encoding="utf-8")
    assert drop(services, document, export, innocent, other).taken == 4
    process_all(services)
    key = next(row["source_key"] for row in rows(services, schema.documents) if row["file_name"] == document.name)
    assert {trace.partition(": ")[2] for trace in find_traces(home)} >= {*SECRETS}
    for each in (POST, key):
        forget(erasure_stores(services), each)
    assert find_traces(home)
    before = contents(services)
    done = vacuum_all(services)
    assert (done.busy, done.erased["originals"], done.left_to_servers) == (False, 2, [])
    assert find_traces(home) == []
    assert not (folder / "done" / document.name).exists()
    assert sorted(path.name for path in (folder / "done").iterdir()) == ["b.jsonl", "c.txt"]
    assert contents(services) == before
    vacuum_all(services)
    assert contents(services) == before


@pytest.mark.scenario
def test_a_vacuum_does_what_waits_first(embedded, tmp_path):
    document = ingest_all(embedded, tmp_path / "in")
    place = embedded.settings.home / "blobs" / ".incoming-killed"
    place.write_text("left by a killed writer", encoding="utf-8")
    answer = {"fingerprint": "f", "provider": "p", "answer": {"tags": [SECRETS[0]]}, "written_at": 0.0}
    with embedded.records.begin() as connection:
        store_results(connection, [{"tenant_id": "default", **answer}])  # of work that broke off
    for key in (POST, document):
        erase_from_store(erasure_stores(embedded), key)
    done = vacuum_all(embedded)
    assert (done.busy, done.erased["points"], done.erased["provider_results"]) == (False, 2, 1)
    assert find_traces_in_projections(embedded) == []
    assert find_traces(embedded.settings.home) == []
    assert find_inconsistencies(contents(embedded)) == []
    assert place.exists()  # somebody may be writing it: it is not a day old


def test_a_vacuum_beside_a_stage_at_work_says_that_traces_may_come(embedded, tmp_path):
    document = ingest_all(embedded, tmp_path / "in")
    erase_from_store(erasure_stores(embedded), document)
    with embedded.records.begin() as connection:
        mine = schema.work.c.source_key == POST
        connection.execute(schema.work.update().where(mine, schema.work.c.stage == "tag").values(owner="another/1/1/a"))
    assert vacuum_all(embedded).busy


@pytest.fixture
def own_postgresql() -> Iterator[Reach]:
    """A server that holds no words of other tests."""
    with skip_without(ServerMissing), run_server("postgresql") as server:
        yield server


@pytest.fixture
def administrator(own_postgresql):
    """A connection that may do everything, outside of transactions."""
    engine = create_engine(own_postgresql["DATABASE_URL"], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.scenario
def test_no_file_of_a_postgresql_server_holds_a_word_of_it(tmp_path, own_postgresql, administrator):
    data = Path(administrator.execute(text("SHOW data_directory")).scalar_one())
    # As the README tells administrators: the log of writes is theirs.
    administrator.execute(text("ALTER SYSTEM SET wal_recycle = off"))
    administrator.execute(text("SELECT pg_reload_conf()"))  # the server's processes take it up in their own time
    with Services(migrated_settings(tmp_path / "home", own_postgresql)) as services:
        document = ingest_all(services, tmp_path / "in")
        administrator.execute(text("CHECKPOINT"))
        assert {trace.partition("/")[0] for trace in find_traces(data)} == {"base", "pg_wal"}
        for key in (POST, document):
            forget(erasure_stores(services), key)
        assert not vacuum_all(services).busy
        administrator.execute(text("CHECKPOINT"))
        assert [trace for trace in find_traces(data) if not trace.startswith("pg_wal")] == []
        assert find_traces_in_tables(services) == []
        assert find_traces(tmp_path / "home") == []
    for _ in range(2):
        administrator.execute(text("SELECT pg_switch_wal()"))
        administrator.execute(text("CHECKPOINT"))
    assert find_traces(data) == []
