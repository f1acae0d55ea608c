"""Dagster's own history and the record store in PostgreSQL."""

import os
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from chatai_assets.orchestration.instance import END_OF_PATHS
from chatai_assets.orchestration.local_runner import run_pending
from chatai_assets.services import first_hour, open_services
from chatai_assets.settings import PROJECT
from chatai_assets_tests.orchestration.conftest import Home
from chatai_assets_tests.support.migrated_stores import empty_database

DEPLOYED = PROJECT / "deploy" / "dagster.yaml"


@pytest.fixture
def instance(tmp_path, postgresql_server, monkeypatch):
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_bytes(DEPLOYED.read_bytes())
    with empty_database(postgresql_server) as url:
        monkeypatch.setenv("DAGSTER_DATABASE_URL", url)
        with dg.DagsterInstance.from_config(str(folder)) as opened:
            yield opened


def test_an_hour_is_materialized_with_history_and_records_in_postgresql(settings, database_url, instance, tmp_path):
    with open_services(settings.replace(database_url=database_url)) as services:
        home = Home(services, instance, tmp_path)
        home.posts(range(1, 4))
        assert home.run("posts", home.hour()).failure is None
        assert home.states("posts") == {"searchable": 3, "pending": 0, "failed": 0}
        assert home.metadata("posts", "indexed")
    assert statuses() == ["SUCCESS"]


def statuses():
    """Return how the runs that PostgreSQL knows ended."""
    engine = create_engine(os.environ["DAGSTER_DATABASE_URL"])
    with engine.connect() as connection:
        found = list(connection.execute(text("SELECT status FROM runs")).scalars())
    engine.dispose()
    return found


def test_what_is_processed_by_command_stands_in_the_history_of_the_daemon(settings, instance, tmp_path):
    served = settings.replace(dagster_database_url=os.environ["DAGSTER_DATABASE_URL"])
    with open_services(served) as services:
        home = Home(services, instance, tmp_path)
        home.posts(range(1, 3))
        assert run_pending(services, lambda: home.defs).failures == []
    assert statuses() == ["SUCCESS"]
    assert [run.job_name for run in instance.get_runs()] == ["posts"]
    assert (served.dagster_home / "dagster.yaml").read_bytes() == DEPLOYED.read_bytes()
    assert not (served.dagster_home / "history").exists()


def test_all_homes_of_one_record_store_begin_with_the_same_hour(settings, database_url):
    ours = settings.replace(database_url=database_url, first_hour=None)
    with open_services(ours) as services:
        begun = first_hour(services)
    with open_services(ours.replace(home=Path(f"{ours.home}-elsewhere"))) as services:
        assert first_hour(services) == begun


def test_the_deployed_file_differs_from_the_projects_in_its_storage_only():
    ours = (PROJECT / "dagster.yaml").read_text(encoding="utf-8")
    assert DEPLOYED.read_text(encoding="utf-8").partition(END_OF_PATHS)[1:] == ours.partition(END_OF_PATHS)[1:]
