"""Which vector indexes there are, and which of them serves: the record store says so, no setting and no alias.

An index is written, let go of and confirmed in the ledger under the name of its projection. Whoever writes asks in the
same transactions whether the index is still what it was: so another one begins to serve at once and for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, delete, select, update

from chatai_assets.domain.errors import IndexSuperseded
from chatai_assets.storage.key_values import get_value, put_value
from chatai_assets.storage.projection_ledger import Projection
from chatai_assets.storage.schema import indexes
from chatai_assets.storage.sql import advisory_lock, upsert

State = Literal["serving", "filling", "kept", "dropping"]
"""It is searched; it will be; it was and may be again; it is about to go."""
FIRST: Projection = "vectors"
NEWEST = "newest vector index"
CHANGES_LOCK = "vector indexes"
"""Whoever changes an index excludes others from it."""


@dataclass(frozen=True, slots=True)
class Index:
    """A vector index.

    Attributes:
        number: 1 is that of a new home; none comes again.
        embedder: who embeds for it, as ``domain.embedding_model`` writes it.
        model: the key of its vectors.
        made_at: epoch seconds; so is ``changed_at``.
    """

    number: int
    embedder: str
    model: str
    dimensions: int
    state: State
    made_at: float
    changed_at: float

    @property
    def projection(self) -> Projection:
        """Its name in the ledger."""
        return FIRST if self.number == 1 else f"{FIRST}/{self.number}"


def all_indexes(connection: Connection) -> list[Index]:
    """Return the indexes that may hold points, in the order of their numbers; not those that are about to go."""
    return [index for index in every_index(connection) if index.state != "dropping"]


def every_index(connection: Connection) -> list[Index]:
    """Return all indexes in the order of their numbers."""
    rows = connection.execute(select(indexes).order_by(indexes.c.number)).mappings()
    return [Index(**row) for row in rows]


def index_of(connection: Connection, state: State) -> Index | None:
    """Return the index of a state; of several the newest."""
    rows = connection.execute(
        select(indexes).where(indexes.c.state == state).order_by(indexes.c.number.desc()).limit(1)
    ).mappings()
    return next((Index(**row) for row in rows), None)


def require_state(connection: Connection, number: int, state: State) -> None:
    """Let an index stay what it is until the transaction ends.

    Raises:
        IndexMoved: it is that no more.
    """
    mine = select(indexes.c.number).where(indexes.c.number == number, indexes.c.state == state)
    if connection.execute(mine.with_for_update(read=True)).first() is None:
        raise IndexSuperseded(f"the vector index {number} is not {state} any more")


def add_index(connection: Connection, embedder: str, model: str, dimensions: int, state: State, *, now: float) -> Index:
    """Add an index; where another is in a state that only one may have, return that one instead."""
    advisory_lock(connection, CHANGES_LOCK)
    standing = index_of(connection, state)
    if standing:
        return standing
    number = (get_value(connection, NEWEST) or 0) + 1
    put_value(connection, NEWEST, number)
    index = Index(number, embedder, model, dimensions, state, now, now)
    upsert(connection, indexes, [{name: getattr(index, name) for name in index.__slots__}])
    return index


def lock_for_change(connection: Connection) -> list[Index]:
    """Return all indexes and let nobody else change any of them until the transaction ends."""
    advisory_lock(connection, CHANGES_LOCK)
    return every_index(connection)


def lock_exclusively(connection: Connection) -> list[Index]:
    """Return all indexes and let nobody else change, or count on, any of them until the transaction ends."""
    advisory_lock(connection, CHANGES_LOCK)
    rows = connection.execute(select(indexes).order_by(indexes.c.number).with_for_update()).mappings()
    return [Index(**row) for row in rows]


def set_states(connection: Connection, changes: Sequence[tuple[int, State]], *, now: float) -> None:
    """Put indexes into states, in this order: of some states there may be one only at any moment."""
    for number, state in changes:
        mine = update(indexes).where(indexes.c.number == number)
        connection.execute(mine.values(state=state, changed_at=now))


def remove_index(connection: Connection, number: int) -> None:
    """Forget an index of which nothing is left."""
    connection.execute(delete(indexes).where(indexes.c.number == number))
