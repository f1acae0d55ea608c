"""Erases single posts or documents: from the record store at once, then from vector index and graph.

First a tombstone marks the item, so that no worker processes it; then its text and bytes are deleted, so that search
does not find it; then vector index and graph delete it. After a crash, or while a store is down, the tombstone stays
marked, and the next erasure finishes it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from chatai_assets.adapters.graph.base import GraphStore
from chatai_assets.domain.errors import Outage
from chatai_assets.domain.graph.changes import EDGE_TYPES
from chatai_assets.domain.ids import ItemKey, stream_of
from chatai_assets.files.blobs import Blobs
from chatai_assets.operations.status import ItemNotFound, resolve_item
from chatai_assets.pipeline.projections.recovery import probe_graph, probe_vectors, with_rebuild
from chatai_assets.pipeline.projections.vector_indexes import Indexes, OpenIndex
from chatai_assets.pipeline.projections.writes import PendingWrites, record_delete_intent
from chatai_assets.pipeline.stages.link import write_changes
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage import tombstones
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.erasure import Erased, erase
from chatai_assets.storage.projection_ledger import Projection, confirm_generation
from chatai_assets.storage.tombstones import PendingErasures

BATCH_ITEMS = 1_000
"""Items of one transaction."""


@dataclass(slots=True)
class ForgetResult:
    """Result of erasing an item.

    Attributes:
        again: whether it was forgotten before, or had expired; then nothing was left to erase.
        erased: table or kind -> how many were deleted; ``points`` and ``edges`` once the projections are done.
        waiting: why vector index or graph still hold it; None if they do not.
    """

    key: ItemKey
    again: bool
    erased: Counter[str] = field(default_factory=Counter)
    waiting: str | None = None


def forget(
    stores: Stores, source_key: str, *, tenant_id: str | None = None, clock: Callable[[], float] = time.time
) -> ForgetResult:
    """Erase one item from all stores; from a store that is unavailable it is erased later.

    Raises:
        ItemNotFound: there is no such item, or the tenant must be named.
        StoreUnavailable: the record store cannot be written.
    """
    forgotten = erase_from_store(stores, source_key, tenant_id=tenant_id, clock=clock)
    try:
        forgotten.erased += finish(stores, [forgotten.key], clock=clock)
    except Outage as error:
        forgotten.waiting = str(error)
    return forgotten


def erase_from_store(
    stores: Stores, source_key: str, *, tenant_id: str | None = None, clock: Callable[[], float] = time.time
) -> ForgetResult:
    """Erase one item from the record store, with its bytes; ``finish`` erases it from index and graph.

    Raises:
        ItemNotFound: there is no such item, or the tenant must be named.
    """
    key = _resolve_erased_item(stores.records, source_key, tenant_id)
    with stores.records.begin() as connection:
        there = tombstones.mark_for_erasure(
            connection, stream_of(source_key), [key], "forgotten", now=clock(), until=None
        )
        if not there:
            tombstones.write_tombstones(connection, key.tenant_id, [source_key], now=clock())
        going = tombstones.pending_erasure_of(connection, [key])
    with stores.records.begin() as connection:
        erased = erase(connection, going, now=clock(), let_go=False)
        for digest in erased.blobs:
            stores.blobs.remove(digest)
    return ForgetResult(key, again=not there, erased=+erased.counts)


def finish(
    stores: Stores, keys: list[ItemKey] | None = None, *, clock: Callable[[], float] = time.time
) -> Counter[str]:
    """Finish pending erasures in all stores; return what was deleted.

    Args:
        keys: only of these items; None for all.

    Raises:
        StoreUnavailable: a store cannot be written; the erasures stay pending.
    """
    erased: Counter[str] = Counter()
    while True:
        with stores.records.reading() as connection:
            some = (
                tombstones.pending_erasures(connection, BATCH_ITEMS)
                if keys is None
                else tombstones.pending_erasure_of(connection, keys)
            )
        if not some:
            return erased
        erased += erase_from_projections(stores, some, now=clock()).counts


def has_pending_erasures(records: Records) -> bool:
    """Return whether an item is marked for erasure and not erased from all stores."""
    with records.reading() as connection:
        return bool(tombstones.pending_erasures(connection, 1))


def _resolve_erased_item(records: Records, source_key: str, tenant_id: str | None) -> ItemKey:
    """Return the key of an item that exists, or of one that was erased."""
    try:
        return resolve_item(records, source_key, tenant_id)[1]
    except ItemNotFound:
        with records.reading() as connection:
            tenants = tombstones.tenants_of_tombstones(connection, source_key)
        if tenant_id is None and len(tenants) == 1:
            return ItemKey(tenants[0], source_key)
        if tenant_id is not None and tenant_id in tenants:
            return ItemKey(tenant_id, source_key)
        raise


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that may hold data of an item."""

    records: Records
    blobs: Blobs
    indexes: Indexes
    graph: GraphStore


def erase_from_projections(
    stores: Stores,
    items: PendingErasures,
    *,
    now: float,
    then: Callable[[Transaction, Erased], None] = lambda _c, _e: None,
) -> Erased:
    """Erase marked items from all stores; return what was erased of those that were still marked.

    Args:
        then: called in the transaction that erases them.

    Raises:
        StoreUnavailable: a store cannot be written; the items stay marked.
    """
    records = stores.records
    writes: dict[Projection, PendingWrites] = {}
    for index in stores.indexes.all():
        delete = partial(_delete_points, stores, index, items)
        writes[index.projection] = with_rebuild(delete, records, probe_vectors(index))
    points = sum(changes.deleted for changes in writes.values())
    graph_writes = with_rebuild(lambda: _delete_from_graph(stores, items), records, probe_graph(stores.graph))
    writes["graph"] = graph_writes
    with records.begin() as connection:
        erased = erase(connection, items, now=now)
        for projection, changes in writes.items():
            if changes.generation:
                confirm_generation(connection, projection, changes.generation)
        erased.counts.update(points=points, edges=_count_edges(graph_writes))
        for digest in erased.blobs:
            stores.blobs.remove(digest)
        then(connection, erased)
    return erased


def _delete_points(stores: Stores, index: OpenIndex, items: PendingErasures) -> PendingWrites:
    if not _may_hold(stores.records, index.projection, items):
        return PendingWrites({})
    with index.vectors.writing() as writer:
        changes = record_delete_intent(stores.records, index.projection, items, writer.generation)
        writer.delete([point for plan in changes.plans.values() for point in plan.deletes])
        if changes.generation:
            writer.write_generation(changes.generation)
    return changes


def _delete_from_graph(stores: Stores, items: PendingErasures) -> PendingWrites:
    if not _may_hold(stores.records, "graph", items):
        return PendingWrites({})
    with stores.graph.writing() as writer:
        changes = record_delete_intent(stores.records, "graph", items, writer.generation)
        write_changes(writer, changes, {})
    return changes


def _may_hold(records: Records, projection: Projection, items: PendingErasures) -> bool:
    """Return whether a projection may hold parts of items; opening it without need would cost a second."""
    with records.reading() as connection:
        return ledger.holds_any(connection, list(items), projection)


def _count_edges(changes: PendingWrites) -> int:
    return sum(part.partition(" ")[0] in EDGE_TYPES for plan in changes.plans.values() for part in plan.deletes)
