"""The vector indexes and their states. The record store decides which one is active, no setting and no alias.

The ledger knows an index under the name of its projection. Writers check in the same transaction that the index is
still in its state (``require_state``), so a switch takes effect at once for all processes.

Stored states: ``serving`` is the active index, ``filling`` is being built, ``kept`` is on standby, ``dropping`` is
retiring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, RowMapping, delete, select, update

from chatai_assets.domain.errors import IndexSuperseded
from chatai_assets.storage.key_values import get_value, put_value
from chatai_assets.storage.projection_ledger import Projection
from chatai_assets.storage.schema import indexes
from chatai_assets.storage.sql import advisory_lock, upsert

State = Literal["serving", "filling", "kept", "dropping"]
"""Active; being built; on standby; retiring."""
FIRST: Projection = "vectors"
FIRST_LAYOUT = 1
"""Of indexes that were made before their layout was recorded."""
NEWEST = "newest vector index"
CHANGES_LOCK = "vector indexes"
"""Advisory lock for changes of indexes."""


@dataclass(frozen=True, slots=True)
class Index:
    """A vector index.

    Attributes:
        number: 1 is that of a new home; numbers are never reused.
        embedder: its embedding model, as ``domain.embedding_model`` writes it.
        model: the key of its vectors.
        made_at: epoch seconds; so is ``changed_at``.
        layout: version of its payload indexes (``adapters.vectors.collection``).
    """

    number: int
    embedder: str
    model: str
    dimensions: int
    state: State
    made_at: float
    changed_at: float
    layout: int = FIRST_LAYOUT

    @property
    def projection(self) -> Projection:
        """Its name in the ledger."""
        return FIRST if self.number == 1 else f"{FIRST}/{self.number}"


def all_indexes(connection: Connection) -> list[Index]:
    """Return the indexes that are not retiring, in the order of their numbers."""
    return [index for index in every_index(connection) if index.state != "dropping"]


def every_index(connection: Connection) -> list[Index]:
    """Return all indexes in the order of their numbers."""
    rows = connection.execute(select(indexes).order_by(indexes.c.number)).mappings()
    return [_index(row) for row in rows]


def index_of(connection: Connection, state: State) -> Index | None:
    """Return the index in a state, the newest of several, or None."""
    rows = connection.execute(
        select(indexes).where(indexes.c.state == state).order_by(indexes.c.number.desc()).limit(1)
    ).mappings()
    return next((_index(row) for row in rows), None)


def require_state(connection: Connection, number: int, state: State) -> None:
    """Lock the row of an index in shared mode until the transaction ends.

    Raises:
        IndexSuperseded: it is no longer in this state.
    """
    mine = select(indexes.c.number).where(indexes.c.number == number, indexes.c.state == state)
    if connection.execute(mine.with_for_update(read=True)).first() is None:
        raise IndexSuperseded(f"the vector index {number} is not {state} any more")


def _index(row: RowMapping) -> Index:
    return Index(**{**row, "layout": row["layout"] or FIRST_LAYOUT})


def add_index(
    connection: Connection, embedder: str, model: str, dimensions: int, state: State, *, layout: int, now: float
) -> Index:
    """Add an index; if another is in this state already, return that one instead."""
    advisory_lock(connection, CHANGES_LOCK)
    existing = index_of(connection, state)
    if existing:
        return existing
    number = (get_value(connection, NEWEST) or 0) + 1
    put_value(connection, NEWEST, number)
    index = Index(number, embedder, model, dimensions, state, now, now, layout)
    upsert(connection, indexes, [{name: getattr(index, name) for name in index.__slots__}])
    return index


def lock_for_change(connection: Connection) -> list[Index]:
    """Return all indexes, locked against other changes until the transaction ends."""
    advisory_lock(connection, CHANGES_LOCK)
    return every_index(connection)


def lock_exclusively(connection: Connection) -> list[Index]:
    """Return all indexes, locked until the transaction ends against other changes and against ``require_state``."""
    advisory_lock(connection, CHANGES_LOCK)
    rows = connection.execute(select(indexes).order_by(indexes.c.number).with_for_update()).mappings()
    return [_index(row) for row in rows]


def set_states(connection: Connection, changes: Sequence[tuple[int, State]], *, now: float) -> None:
    """Set the states of indexes in this order: at any moment only one may be active, and only one being built."""
    for number, state in changes:
        mine = update(indexes).where(indexes.c.number == number)
        connection.execute(mine.values(state=state, changed_at=now))


def remove_index(connection: Connection, number: int) -> None:
    """Delete the row of an index."""
    connection.execute(delete(indexes).where(indexes.c.number == number))
