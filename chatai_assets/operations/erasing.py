"""Letting items go that are condemned: out of vector index and graph first, then out of the record store.

The ledger learns what is about to be removed before it is (``stages.projections``), and is erased with the items in
the one transaction after which nothing of them is left. Killed at any instruction, whoever comes next does the same
again; an edit that arrives meanwhile keeps its item, whose index and link work then restores what had gone already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from chatai_assets.adapters.graph.base import GraphStore
from chatai_assets.domain.graph.changes import EDGE_TYPES
from chatai_assets.files.blobs import Blobs
from chatai_assets.pipeline.projections.recovery import projected_graph, projected_vectors, recovering
from chatai_assets.pipeline.projections.vector_indexes import Indexes, OpenIndex
from chatai_assets.pipeline.projections.writes import Changes, announce_leaving
from chatai_assets.pipeline.stages.link import write_changes
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage.engine import Records
from chatai_assets.storage.erasure import Erased, erase
from chatai_assets.storage.marks import confirm_mark
from chatai_assets.storage.projection_ledger import Projection
from chatai_assets.storage.tombstones import Leaving


@dataclass(frozen=True, slots=True)
class Stores:
    """All that may hold something of an item."""

    records: Records
    blobs: Blobs
    indexes: Indexes
    graph: GraphStore


def let_go(
    stores: Stores, items: Leaving, *, now: float, then: Callable[[Connection, Erased], None] = lambda _c, _e: None
) -> Erased:
    """Remove condemned items from all stores; return what was erased of those that are leaving still.

    Args:
        then: what else belongs into the transaction that erases them.

    Raises:
        StoreUnavailable: a store cannot be written; the items stay condemned.
    """
    records = stores.records
    made: dict[Projection, Changes] = {}
    for index in stores.indexes.all():
        leave = partial(_leave_vectors, stores, index, items)
        made[index.projection] = recovering(leave, records, projected_vectors(index))
    points = sum(changes.deleted for changes in made.values())
    parts = recovering(lambda: _leave_graph(stores, items), records, projected_graph(stores.graph))
    made["graph"] = parts
    with records.begin() as connection:
        erased = erase(connection, items, now=now)
        for projection, changes in made.items():
            if changes.mark:
                confirm_mark(connection, projection, changes.mark)
        erased.counts.update(points=points, edges=_edges(parts))
        for digest in erased.blobs:
            stores.blobs.remove(digest)
        then(connection, erased)
    return erased


def _leave_vectors(stores: Stores, index: OpenIndex, items: Leaving) -> Changes:
    if not _holds(stores.records, index.projection, items):
        return Changes({})
    with index.vectors.writing() as writer:
        changes = announce_leaving(stores.records, index.projection, items, writer.mark)
        writer.delete([point for plan in changes.plans.values() for point in plan.deletes])
        if changes.mark:
            writer.sign(changes.mark)
    return changes


def _leave_graph(stores: Stores, items: Leaving) -> Changes:
    if not _holds(stores.records, "graph", items):
        return Changes({})
    with stores.graph.writing() as writer:
        changes = announce_leaving(stores.records, "graph", items, writer.mark)
        write_changes(writer, changes, {})
    return changes


def _holds(records: Records, projection: Projection, items: Leaving) -> bool:
    """Return whether a projection may hold anything of items; opening it for nothing would cost a second."""
    with records.reading() as connection:
        return ledger.holds_any(connection, list(items), projection)


def _edges(changes: Changes) -> int:
    return sum(part.partition(" ")[0] in EDGE_TYPES for plan in changes.plans.values() for part in plan.deletes)
