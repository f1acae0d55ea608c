"""A record store for each test, once in SQLite and once in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatai_assets.storage.engine import Records, open_records
from chatai_assets_tests.support.migrated_stores import copy_migrated_sqlite


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if database == "postgresql":
        return str(request.getfixturevalue("empty_database_url"))
    return f"sqlite:///{tmp_path / 'empty.sqlite'}"


@pytest.fixture
def records_url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> str:
    """The URL of a database with all tables and no rows."""
    if database == "postgresql":
        return str(request.getfixturevalue("database_url"))
    path = tmp_path / "records.sqlite"
    copy_migrated_sqlite(path)
    return f"sqlite:///{path}"


@pytest.fixture
def records(records_url: str) -> Iterator[Records]:
    """An empty record store."""
    opened = open_records(records_url)
    yield opened
    opened.close()
