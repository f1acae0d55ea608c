"""A record store for each test: SQLite in ``tmp_path``, or an empty schema of ``CHATAI_TEST_DATABASE_URL``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from chatai_assets.adapters.records.store import Records, open_records


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    server = os.environ.get("CHATAI_TEST_DATABASE_URL")
    if not server:
        yield f"sqlite:///{tmp_path / 'records.sqlite'}"
        return
    name, admin = f"test_{uuid4().hex}", create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    opened = open_records(url)
    yield opened
    opened.close()
