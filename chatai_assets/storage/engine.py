"""Opens the record store: engine, transactions, migrations, and translation of database errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from chatai_assets.domain.circuit_breaker import RECORDS
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.locks import exclusive_lock
from chatai_assets.files.os_errors import describe_errno
from chatai_assets.storage.sql import advisory_lock

Transaction = Connection
"""An open transaction of the record store, as ``Records.begin`` and ``Records.reading`` give it.

Modules outside this package hold one and pass it on to functions of this package; they never execute SQL themselves.
"""
MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
"""The newest migration."""
BUSY_TIMEOUT_S = 30
CONNECT_S = 10
STATEMENT_S = 120
"""The server ends a statement that takes longer."""
IDLE_S = 300
"""The server ends a transaction that is idle for longer: a frozen process must not lock rows for ever."""
LIBPQ_TIMEOUTS = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""When libpq gives up a connection: seconds, except the last, which is in ms. Parameters in the URL take precedence."""
MIGRATION_LOCK_S = 120
STORE_ERRORS = {"OperationalError", "InterfaceError", "InternalError", "DatabaseError"}
"""SQLAlchemy's error classes for faults of the database, not of a statement; a damaged file raises the last one."""
ADVICE = {
    "SQLITE_FULL": "; free space on its disk",
    "53100": "; free space on its disk",
    "SQLITE_IOERR": "; check its disk, and free space there if it is full",
    "58030": "; check its disk",
    "SQLITE_CORRUPT": "; check its disk: if that can be read, the file is damaged and a copy must be brought back",
    "SQLITE_NOTADB": "; bring back a copy of the file",
}
"""Prefixes of SQLite's error names and PostgreSQL's error codes -> what to do.

SQLite reports an unreadable disk as a damaged file, and shared memory that finds no space as a disk failure.
"""
SQLITE_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
    "foreign_keys=ON",
    "cache_size=-65536",
    "temp_store=MEMORY",
    "wal_autocheckpoint=8000",
)


class Records:
    """The record store behind one URL; threads may share it.

    Only the URL differs between SQLite and PostgreSQL.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that commits when the block ends.

        Raises:
            StoreUnavailable: the database cannot be reached, read or written.
        """
        with translate_errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a read-only transaction; on SQLite it neither waits for a writer nor blocks one."""
        with translate_errors(), self.engine.connect() as connection:
            reader = connection.execution_options(chatai_reading=True)
            with reader.begin():
                yield reader

    def check(self) -> None:
        """Run an empty query; raises ``StoreUnavailable`` if the database does not answer."""
        with self.reading() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_records(url: str) -> Records:
    """Open the record store and bring its tables up to date.

    Raises:
        StoreUnavailable: the database cannot be reached or migrated.
    """
    parsed = make_url(url)
    engine = _sqlite_engine(parsed) if parsed.get_backend_name() == "sqlite" else _server_engine(parsed)
    if not _is_current(engine):
        migrate(engine)
    return Records(engine)


def store_exists(url: str) -> bool:
    """Return whether there is a store to open: False only if it is a file of SQLite that does not exist."""
    return _has_file(make_url(url))


def _has_file(url: URL) -> bool:
    return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()


@contextmanager
def translate_errors(store: str = "The record store", part: str = RECORDS) -> Iterator[None]:
    """Translate SQLAlchemy's errors about the database into ``StoreUnavailable``; errors of statements pass unchanged.

    Args:
        store: its name at the beginning of a sentence.
        part: its name as a dependency with a circuit breaker; "" if it has none.
    """
    try:
        yield
    except NoConnection as error:
        raise StoreUnavailable(f"{store} gives no connection: too many are in use.", part) from error
    except DBAPIError as error:
        if type(error).__name__ in STORE_ERRORS:
            raise StoreUnavailable(_sentence(store, error), part) from error
        raise


def _is_current(engine: Engine) -> bool:
    """Return whether the newest migration has run; checked first because importing alembic takes half a second."""
    if not _has_file(engine.url):
        return False
    reading = engine.execution_options(chatai_reading=True)
    with translate_errors(), reading.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD


def migrate(engine: Engine) -> None:
    """Run the missing migrations, one process at a time.

    Raises:
        StoreUnavailable: another process holds the lock for too long, or a migration fails.
    """
    from alembic import command
    from alembic.config import Config

    try:
        with translate_errors(), _migration_lock(engine.url):
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            with engine.begin() as connection:
                wait_at_most(connection, MIGRATION_LOCK_S)
                advisory_lock(connection, "migrations")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except TimeoutError as error:
        raise StoreUnavailable("Another process has been migrating the record store for too long.", RECORDS) from error
    except OSError as error:
        raise StoreUnavailable(f"The record store cannot be made: {describe_errno(error.errno)}.", RECORDS) from error
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"The record store cannot be migrated: {type(error).__name__}.", RECORDS) from error


@contextmanager
def _migration_lock(url: URL) -> Iterator[None]:
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(Path(f"{path}.lock"), MIGRATION_LOCK_S):
        yield


def _server_engine(url: URL) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    timeouts = {name: value for name, value in LIBPQ_TIMEOUTS.items() if name not in url.query}
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=10,
        pool_timeout=BUSY_TIMEOUT_S,
        connect_args=timeouts,
        hide_parameters=True,  # private text must not reach logs and Dagster's history with an unforeseen error
    )

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        # For one transaction, not for the session: a pooler may hand the session to others.
        connection.exec_driver_sql(
            f"SET LOCAL statement_timeout = '{STATEMENT_S * 1000:.0f}';"
            f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S * 1000:.0f}'"
        )

    return engine


def wait_at_most(connection: Connection, lock_s: float) -> None:
    """Lift the time limits of a transaction, but wait at most so many seconds for any lock."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
            f"SET LOCAL lock_timeout = '{lock_s:g}s'"
        )


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin with the BEGIN below, not with the driver's
        for pragma in SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        # A deferred transaction that turns from reading to writing can fail regardless of the timeout.
        reading = connection.get_execution_options().get("chatai_reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _sentence(store: str, error: DBAPIError) -> str:
    """Return what is wrong with a store, and what to do if it is its disk."""
    code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "pgcode", None) or ""
    advice = next((advice for name, advice in ADVICE.items() if code.startswith(name)), "")
    return f"{store} cannot be used: {_reason(error)}{advice}."


def _reason(error: DBAPIError) -> str:
    """Return the first line of the driver's message; never the statement or its parameters, which hold private text."""
    return str(error.orig).strip().splitlines()[0].rstrip(".") if str(error.orig).strip() else type(error.orig).__name__
