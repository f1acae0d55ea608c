"""The collection of all tables, how their indices are named, and what several tables share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, MetaData, text

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)
LogId = BigInteger().with_variant(Integer, "sqlite")
"""Type of an id that the database counts up; SQLite does so for INTEGER only."""


def rows_where(condition: str) -> dict[str, Any]:
    """Return the arguments that make an index cover only the rows that meet a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}
