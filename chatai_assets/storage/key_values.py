"""Named JSON values that outlive a process, in the table ``checkpoints``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select

from chatai_assets.storage.schema import checkpoints
from chatai_assets.storage.sql import upsert


def get_value(connection: Connection, name: str) -> Any:
    """Return a stored value, or None."""
    return connection.execute(select(checkpoints.c.value).where(checkpoints.c.name == name)).scalar()


def put_value(connection: Connection, name: str, value: Any) -> None:
    """Store a value."""
    upsert(connection, checkpoints, [{"name": name, "value": value}])


def delete_value(connection: Connection, name: str) -> None:
    """Remove a value, if there is one."""
    connection.execute(delete(checkpoints).where(checkpoints.c.name == name))


def put_value_if_absent(connection: Connection, name: str, value: Any) -> Any:
    """Store a value unless there is one; return the stored one."""
    upsert(connection, checkpoints, [{"name": name, "value": value}], update=())
    return get_value(connection, name)
