"""The two statements that SQLite and PostgreSQL share but SQLAlchemy keeps in their dialects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = sqlite.Insert | postgresql.Insert


def insert_into(connection: Connection, table: Table) -> Insert:
    """Return an insert that knows ``on_conflict_do_*``."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def upsert(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, update: Iterable[str] | None = None
) -> None:
    """Insert rows; where the primary key exists, write the named columns (all others by default) instead.

    Args:
        rows: all with the same columns, no two with the same key.
        update: columns to overwrite; an empty one keeps the row that is there.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key.columns]
    statement = insert_into(connection, table)
    names = [name for name in rows[0] if name not in keys] if update is None else list(update)
    if names:
        statement = statement.on_conflict_do_update(
            index_elements=keys, set_={name: statement.excluded[name] for name in names}
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, rows)
