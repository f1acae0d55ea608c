"""What differs between SQLite and PostgreSQL: upserts, advisory locks, row locks; and how rows are fetched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeVar
from typing import cast as cast_type

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Select,
    Table,
    TableValuedAlias,
    cast,
    column,
    func,
    literal,
    null,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
Row = TypeVar("Row")
Insert = sqlite.Insert | postgresql.Insert
AT_ONCE = 500
"""Values of one statement at most: SQLite allows 32,766 parameters, query planners work better with fewer."""


def batched(values: Collection[T]) -> Iterator[list[T]]:
    """Yield values in lists that fit into one statement."""
    each = list(values)
    return (each[first : first + AT_ONCE] for first in range(0, len(each), AT_ONCE))


def columns_of(table: Table, row: type) -> list[ColumnElement[Any]]:
    """Return the columns that a row type names, in its order; NULL where the table has no such column.

    Args:
        row: a ``TypedDict``, whose keys are names of columns.
    """
    return [table.c[name] if name in table.c else null().label(name) for name in row.__annotations__]


def fetch_all(connection: Connection, statement: Select[Any], _row: type[Row]) -> list[Row]:
    """Return the rows of a select, which are mappings; the ``TypedDict`` says which columns they have."""
    return cast_type("list[Row]", connection.execute(statement).mappings().all())


def fetch_first(connection: Connection, statement: Select[Any], _row: type[Row]) -> Row | None:
    """Return the first row of a select as ``fetch_all`` does, or None."""
    return cast_type("Row | None", connection.execute(statement).mappings().first())


def insert_into(connection: Connection, table: Table) -> Insert:
    """Return an insert of the connection's dialect, with ``on_conflict_do_*``."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def advisory_lock(connection: Connection, name: str) -> None:
    """Lock a name exclusively until the transaction ends. SQLite needs no lock: it has one writer at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_number(name))))


def advisory_lock_shared(connection: Connection, name: str) -> None:
    """Lock a name in shared mode until the transaction ends: only ``advisory_lock`` of the same name waits."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(_number(name))))


def _number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)


def lock_rows(connection: Connection, rows: Select[Any]) -> None:
    """Lock rows in the order of the select, so that transactions that change the same ones cannot deadlock."""
    if connection.dialect.name == "postgresql":
        connection.execute(rows.with_for_update()).all()


def json_values_table(connection: Connection, values: Sequence[Any]) -> TableValuedAlias:
    """Return a table whose column ``value`` holds JSON values, passed as one parameter.

    Compiling a statement with a thousand parameters takes longer than running it.
    """
    if connection.dialect.name == "sqlite":
        return func.json_each(literal(values, JSON)).table_valued(column("value", JSON), name="listed")
    return func.json_array_elements(cast(values, JSON)).table_valued(column("value", JSON), name="listed")


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
