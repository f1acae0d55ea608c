"""Empty record stores that have all tables already, copied from one that was migrated once.

A migration takes longer than many tests, so only the tests of migrations run it each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from uuid import uuid4

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from chatai_assets.files.locks import exclusive_lock
from chatai_assets.storage.engine import open_records
from chatai_assets_tests.support.server_processes import START_S, Reach

TEMPLATE = "chatai_template"


def copy_migrated_sqlite(path: Path) -> None:
    """Put an empty, migrated database where there is none yet; a file that is there stays as it is."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".migrated-") as copy:
        copy.write(_migrated_sqlite())
        copy.flush()
        with suppress(FileExistsError):  # another process was first
            os.link(copy.name, path)


@cache
def _migrated_sqlite() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.sqlite"
        open_records(f"sqlite:///{path}").close()
        return path.read_bytes()


@contextmanager
def empty_database(server: Reach) -> Iterator[str]:
    """Yield the URL of a PostgreSQL database without tables; drop it at the end."""
    with _database(server, "template1") as url:
        yield url


@contextmanager
def migrated_database(server: Reach, folder: Path) -> Iterator[str]:
    """Yield the URL of a PostgreSQL database with all tables and no rows; drop it at the end.

    Args:
        folder: of the session, where processes agree on who makes the template.
    """
    made = folder / f"{TEMPLATE}.done"
    with exclusive_lock(folder / f"{TEMPLATE}.lock", START_S):
        if not made.exists():
            _execute(server, f"CREATE DATABASE {TEMPLATE}")
            open_records(_url(server, TEMPLATE)).close()
            made.touch()
    with _database(server, TEMPLATE) as url:
        yield url


@contextmanager
def _database(server: Reach, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _url(server, name)
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _url(server: Reach, name: str) -> str:
    return make_url(server["DATABASE_URL"]).set(database=name).render_as_string(hide_password=False)


def _execute(server: Reach, statement: str) -> None:
    engine = create_engine(server["DATABASE_URL"], isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()
