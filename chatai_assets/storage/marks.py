"""Of which state of each projection its ledger speaks.

Each turn of writing leaves a mark in the store, never used before, once all it wrote is there. The record store knows
two: the mark the turn found, and the one it is about to leave. A store that has neither is not the one the ledger
speaks of: its files were removed, or its log was cut, or it was restored from another day, as this record store may
have been. A kill in between leaves one of the two; so does a turn that fails.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from chatai_assets.storage.key_values import forget_checkpoint, read_checkpoint, write_checkpoint
from chatai_assets.storage.projection_ledger import Projection
from chatai_assets.storage.schema.tables import checkpoints

Marks = tuple[str | None, str | None]
"""What the last turn found, or left if it was confirmed; and what it was about to leave."""


def expected_marks(connection: Connection, projection: Projection) -> Marks:
    """Return the two marks the projection may have; None is that of a new store."""
    known, coming = read_checkpoint(connection, _name(projection)) or (None, None)
    return known, coming


def set_marks(connection: Connection, projection: Projection, known: str | None, coming: str | None) -> None:
    """Record what a turn found and what it is about to leave; while the store is held, or being recovered."""
    write_checkpoint(connection, _name(projection), [known, coming])


def confirm_mark(connection: Connection, projection: Projection, mark: str) -> None:
    """Record that a mark was left, unless another turn has come since, which has seen it itself."""
    name = _name(projection)
    connection.execute(select(checkpoints.c.name).where(checkpoints.c.name == name).with_for_update())
    if expected_marks(connection, projection)[1] == mark:
        set_marks(connection, projection, mark, mark)


def forget_marks(connection: Connection, projection: Projection) -> None:
    """Forget a projection that is no more."""
    forget_checkpoint(connection, _name(projection))


def _name(projection: Projection) -> str:
    return f"mark of the {projection}"
