"""Detects that a projection is not the one its ledger describes, and rebuilds it.

Files are removed by hand, disks fail, a store or the record store is restored from a backup of another day, or a
setting names another server. The ledger is wrong about the projection then: its entries are deleted, what the store
does hold is recorded with unknown content, so that stale entries are removed, and the writing stage of these items
becomes pending. The generation that the store has now is recorded last: until then no writer may write, and an
interrupted rebuild starts from the beginning.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from chatai_assets.domain.errors import ProjectionMismatch
from chatai_assets.domain.graph.subgraph import parse_edge_source, source_node
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.stages import Stage
from chatai_assets.observability import PROJECTION_REOPENED, log
from chatai_assets.storage import items as content
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage import tombstones
from chatai_assets.storage import vector_indexes as indexes
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records
from chatai_assets.storage.projection_ledger import Generations, Projection, expected_generations, set_generations
from chatai_assets.storage.vector_indexes import State
from chatai_assets.storage.writer_lock import writer_lock

if TYPE_CHECKING:
    from chatai_assets.adapters.graph.base import GraphStore
    from chatai_assets.adapters.vectors.base import VectorStore
    from chatai_assets.pipeline.projections.vector_indexes import OpenIndex
    from chatai_assets.storage.engine import Transaction

T = TypeVar("T")
WRITTEN_BY: Mapping[State, Stage | None] = {"serving": "index", "filling": "reindex", "kept": None, "dropping": None}
ITEMS = 2_000
"""Items of one transaction."""
HOLDINGS = 5_000
"""Points, nodes and edges of one transaction."""
ADVICE = "Nothing to do: runs write it again. If nobody removed, restored or moved the store, check its disk."
Holding = tuple[ItemKey, str]
"""An item, and the id of something that a projection holds of it."""


@dataclass(frozen=True, slots=True)
class ProjectionProbe:
    """What is needed to detect the loss of a projection and to rebuild it.

    Attributes:
        generation: reads the generation of the store, without opening it where that is possible.
        holdings: iterates over everything that the store holds.
    """

    name: Projection
    generation: Callable[[], str | None]
    holdings: Callable[[], Iterator[Holding]]


def probe_vectors(index: OpenIndex) -> ProjectionProbe:
    """Return a vector index as a projection."""
    return ProjectionProbe(index.projection, index.vectors.generation, lambda: held_points(index.vectors))


def probe_graph(graph: GraphStore) -> ProjectionProbe:
    """Return the graph as a projection."""
    return ProjectionProbe("graph", graph.generation, lambda: held_parts(graph))


def held_points(vectors: VectorStore) -> Iterator[Holding]:
    """Yield every point with its item."""
    for point, payload in vectors.points():
        yield ItemKey(payload["tenant_id"], payload["source"]), point


def held_parts(graph: GraphStore) -> Iterator[Holding]:
    """Yield every edge, and every node it touches, with the item that says so; and every item's own node."""
    for edge in graph.edges():
        key = parse_edge_source(edge.source)
        yield key, f"{edge.type} {edge.id}"
        yield from ((key, f"{label} {node_id}") for label, node_id in (edge.start, edge.end))
    for node in graph.nodes():
        if "source" in node.properties:
            key = ItemKey(node.properties["tenant_id"], node.properties["source"])
            yield key, " ".join(source_node(*key))


def is_lost(records: Records, projected: ProjectionProbe) -> bool:
    """Return whether the store is not the one its ledger describes.

    Raises:
        StoreUnavailable: the store cannot be asked.
    """
    before = _expected(records, projected)
    found = projected.generation()
    # The two belong together only if no writer finished meanwhile.
    return found not in before and _expected(records, projected) == before


def rebuild(records: Records, projected: ProjectionProbe) -> int:
    """Have a lost projection written again; return how many items became pending for that, 0 if it is not lost.

    Raises:
        StoreUnavailable: a store cannot be read, or another process has been recovering it for too long.
    """
    if not is_lost(records, projected):
        return 0
    with writer_lock(records, f"{projected.name.replace('/', '-')}-recovery"):
        if not is_lost(records, projected):
            return 0
        found = projected.generation()
        items = _forget(records, projected.name) + _mark_unknown(records, projected)
        with records.begin() as connection:
            set_generations(connection, projected.name, found, found)
    log.warning(PROJECTION_REOPENED, projection=projected.name, items=items, advice=ADVICE)
    return items


def with_rebuild(stage: Callable[[], T], records: Records, projected: ProjectionProbe) -> T:
    """Run a stage that writes a projection; if the projection is lost, start its rebuild and run the stage again."""
    try:
        return stage()
    except ProjectionMismatch:
        rebuild(records, projected)
        return stage()


def _expected(records: Records, projected: ProjectionProbe) -> Generations:
    with records.reading() as connection:
        return expected_generations(connection, projected.name)


def _forget(records: Records, name: Projection) -> int:
    """Drop all that the ledger says of a projection, some items at a time."""
    items = 0
    while True:
        with records.begin() as connection:
            keys = ledger.some_keys(connection, name, ITEMS)
            if not keys:
                return items
            reopen(connection, name, keys)
            ledger.forget(connection, name, keys)
        items += len(keys)


def _mark_unknown(records: Records, projected: ProjectionProbe) -> int:
    """Record what a store that was not empty holds; return of how many items, some of them perhaps counted twice."""
    items = 0
    for found in _batches(projected.holdings()):
        with records.begin() as connection:
            reopen(connection, projected.name, list(found))
            ledger.mark_unknown(connection, projected.name, found)
        items += len(found)
    return items


def reopen(connection: Transaction, name: Projection, keys: Sequence[ItemKey]) -> None:
    """Make the writing stage pending again; claims on it are lost, since their owners have read the deleted entries.

    Erased items are erased again, since a restored store may hold them. A standby index is written once it is
    activated.
    """
    stage = written_by(connection, name)
    if stage:
        work.requeue(connection, stage, keys, now=time.time())
    tombstones.re_mark(connection, keys, time.time())
    if stage == "index":
        content.reset_completed(connection, keys)


def written_by(connection: Transaction, name: Projection) -> Stage | None:
    """Return the stage that writes a projection at the moment, if any does."""
    if name == "graph":
        return "link"
    mine = [index.state for index in indexes.every_index(connection) if index.projection == name]
    return WRITTEN_BY[mine[0]] if mine else None


def _batches(holdings: Iterable[Holding]) -> Iterator[dict[ItemKey, list[str]]]:
    each = iter(holdings)
    while batch := list(islice(each, HOLDINGS)):
        found: defaultdict[ItemKey, list[str]] = defaultdict(list)
        for key, held in batch:
            found[key].append(held)
        yield found
