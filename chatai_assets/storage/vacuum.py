"""Rewrites the files of the record store so that no deleted rows are left in them."""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import Engine

from chatai_assets.domain.circuit_breaker import RECORDS
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.storage.engine import Records, translate_errors
from chatai_assets.storage.schema import metadata

LOCK_S = 60
"""How long to wait for a table that is in use."""


def vacuum(records: Records) -> None:
    """Rewrite all tables; each is locked meanwhile, with SQLite the whole file.

    PostgreSQL's write-ahead log, backups and replicas are not covered: see the README.

    Raises:
        StoreUnavailable: a table stays in use, or the disk has no room for a second copy.
    """
    with translate_errors():
        if records.engine.dialect.name == "sqlite":
            _vacuum_file(records.engine)
        else:
            _vacuum_tables(records.engine)


def _vacuum_file(engine: Engine) -> None:
    with closing(engine.raw_connection()) as connection:
        connection.detach()  # it is not reused: its settings are changed below
        try:
            with closing(connection.cursor()) as cursor:
                cursor.execute("PRAGMA temp_store=FILE")  # the copy may be larger than memory
                cursor.execute("VACUUM")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy = (cursor.fetchone() or (1,))[0]
        except engine.dialect.loaded_dbapi.Error as error:
            raise StoreUnavailable(f"The record store cannot be vacuumed: {error}.", RECORDS) from error
    if busy:
        raise StoreUnavailable("The record store's log cannot be emptied: somebody is reading. Try again.", RECORDS)


def _vacuum_tables(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_S}s'")
        connection.exec_driver_sql("SET statement_timeout = 0")
        try:
            for table in metadata.sorted_tables:
                connection.exec_driver_sql(f'VACUUM FULL "{table.name}"')
        finally:
            connection.invalidate()
