import multiprocessing
import sqlite3

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.storage.engine import HEAD, MIGRATIONS, open_records
from chatai_assets.storage.schema import metadata, work
from chatai_assets_tests.support.arrivals import arrival, receive_arrivals


def config():
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    return made


def test_the_migrations_make_the_tables_of_the_schema(records):
    with records.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_head_is_the_newest_migration():
    assert ScriptDirectory.from_config(config()).get_current_head() == HEAD


def test_every_migration_can_be_undone(records):
    made = config()
    with records.begin() as connection:
        made.attributes["connection"] = connection
        command.downgrade(made, "base")
        assert set(inspect(connection).get_table_names()) <= {"alembic_version", "sqlite_sequence"}
        command.upgrade(made, "head")
        assert metadata.tables.keys() <= set(inspect(connection).get_table_names())


def test_a_graph_from_before_entity_resolution_is_linked_again_and_nothing_else(records):
    receive_arrivals(records, arrival())
    made = config()
    with records.begin() as connection:
        made.attributes["connection"] = connection
        command.downgrade(made, "0009")
        connection.execute(work.update().values(state="done"))
        row = connection.execute(work.select()).mappings().one()
        connection.execute(work.insert(), {**row, "stage": "link"})
        command.upgrade(made, "0010")
        states = connection.execute(select(work.c.stage, work.c.state).order_by(work.c.stage)).all()
    assert [tuple(row) for row in states] == [("link", "pending"), ("parse", "done")]


def test_a_reopened_store_keeps_its_rows(records_url, records):
    receive_arrivals(records, arrival())
    again = open_records(records_url)
    assert receive_arrivals(again, arrival()) == ["unchanged"]
    again.close()


def _open(url):
    open_records(url).close()


def test_many_processes_may_open_a_new_store_at_once(url):
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_open, args=(url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_a_transaction_that_fails_leaves_nothing(records):
    with pytest.raises(IntegrityError), records.begin() as connection:
        connection.execute(text("INSERT INTO checkpoints (name, value) VALUES ('x', '1'), ('x', '2')"))
    with records.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM checkpoints")).scalar() == 0


def test_a_damaged_file_is_an_outage_with_one_sentence(tmp_path):
    file = tmp_path / "records.sqlite"
    file.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StoreUnavailable, match=r"file is not a database; bring back a copy of the file\.$"):
        open_records(f"sqlite:///{file}")


def test_an_unreachable_server_is_an_outage():
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        open_records("postgresql://nobody@127.0.0.1:1/nothing")


def test_readers_do_not_wait_for_a_writer(tmp_path):
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    records = open_records(url)
    writer = sqlite3.connect(tmp_path / "records.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO checkpoints (name, value) VALUES ('x', '1')")
    with records.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM checkpoints")).scalar() == 0
    open_records(url).close()
    writer.close()
    records.close()
