"""Compares vector index and graph with the record store, in bounded memory and while others write.

The ledger holds for every item which parts a projection contains, and their content. Both are read twice. A part that
differs in the same way both times really differs, since every write is recorded in the ledger before it happens.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chatai_assets.adapters.graph.base import GraphStore
from chatai_assets.adapters.models.base import Vector
from chatai_assets.adapters.vectors.base import Point, VectorStore
from chatai_assets.domain.graph.changes import EDGE_TYPES, EdgeRef, GraphChange, content_fingerprint, matches_id
from chatai_assets.domain.graph.subgraph import Edge, Node, parse_edge_source
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.projection_plan import LedgerEntry
from chatai_assets.operations.audit.comparison import Difference, Expected, FoundPart, comparison
from chatai_assets.operations.audit.digests import Numbers
from chatai_assets.pipeline.projections import points
from chatai_assets.pipeline.projections.recovery import reopen, written_by
from chatai_assets.pipeline.projections.vector_indexes import OpenIndex
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.embeddings import vectors_of_chunks
from chatai_assets.storage.engine import Records
from chatai_assets.storage.items import ChunkKey
from chatai_assets.storage.projection_ledger import Projection

BATCH_ITEMS = 1_000
BATCH_POINTS = 500
VECTOR_TOLERANCE = 1e-4
"""Allowed difference of a number in a vector, since stores round differently when they normalise."""
ALTERED = "altered"
"""Content of a part that does not match its own id or text; it equals no fingerprint."""
MAX_EXAMPLES = 20
ORDINALS = range(1 << 31)

OnAuditProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AuditTarget:
    """A projection that can be audited.

    Attributes:
        found: reads all parts in the store.
        remove: deletes parts that belong to no item.
    """

    name: Projection
    found: Callable[[], Iterable[FoundPart]]
    remove: Callable[[Sequence[Difference]], None]


@dataclass(slots=True)
class AuditReport:
    """Result of auditing one projection; contains no text.

    Attributes:
        projection: ``vectors`` for any vector index, or ``graph``.
        expected: how many points, or nodes and edges, are in the ledger.
        found: how many are in the store.
        differences: ``missing``, ``extra`` or ``changed`` -> how many.
        examples: some differences: kind, point or label, source key.
        reopened: items that the next run writes again, if repair was requested.
        removed: parts that belonged to no item and were deleted.
    """

    projection: str
    expected: int = 0
    found: int = 0
    differences: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)
    reopened: int = 0
    removed: int = 0
    seconds: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether the store holds what it should and nothing else."""
        return not self.differences


def vectors_target(records: Records, index: OpenIndex) -> AuditTarget:
    """Return a vector index as a target of an audit."""

    def remove(extra: Sequence[Difference]) -> None:
        with index.vectors.writing() as writer:
            writer.delete([difference.part for difference in extra])

    return AuditTarget(index.projection, lambda: _found_points(records, index.vectors, index.model), remove)


def graph_target(graph: GraphStore) -> AuditTarget:
    """Return the graph as a target of an audit."""

    def remove(extra: Sequence[Difference]) -> None:
        with graph.writing() as writer:
            writer.apply(_build_removal(extra))

    return AuditTarget("graph", lambda: _found_parts(graph), remove)


def audit(
    records: Records,
    audited: AuditTarget,
    *,
    repair: bool = False,
    on_progress: OnAuditProgress = lambda _: None,
    each: Callable[[Difference], None] = lambda _: None,
) -> AuditReport:
    """Compare a projection with its ledger.

    Args:
        repair: requeue items whose parts differ, and delete parts that belong to no item.
        on_progress: called with a description of the current step.
        each: called with every difference.

    Raises:
        StoreUnavailable: one of the stores cannot be read.
    """
    started, report = time.monotonic(), AuditReport(audited.name.partition("/")[0])
    with comparison() as first:
        first.expect(_iter_expected(records, audited.name))
        report.expected = first.expected()
        on_progress(f"{audited.name}: {report.expected:,} expected")
        report.found = first.find(audited.found())
        suspected = first.differing()
    if len(suspected):
        on_progress(f"{audited.name}: {len(suspected):,} looked at again")
        for batch in _confirm_differences(records, audited, suspected):
            report.differences.update(difference.kind for difference in batch)
            report.examples += map(_example, batch[: MAX_EXAMPLES - len(report.examples)])
            for difference in batch:
                each(difference)
            if repair:
                _repair(records, audited, batch, report)
    report.seconds = time.monotonic() - started
    return report


def _confirm_differences(records: Records, audited: AuditTarget, suspected: Numbers) -> Iterator[list[Difference]]:
    """Compare a second time; yield the parts that differ in the same way as before, in batches."""
    with comparison(suspected) as second:
        second.expect(_iter_expected(records, audited.name))
        second.find(audited.found())
        yield from second.differences()


def _example(difference: Difference) -> dict[str, str]:
    label, _, named = difference.part.partition(" ")
    return {
        "difference": difference.kind,
        "part": label if named else difference.part,
        "tenant": difference.tenant_id,
        "source": difference.source_key,
    }


def _repair(records: Records, audited: AuditTarget, batch: Sequence[Difference], report: AuditReport) -> None:
    """Requeue the items to which parts belong; delete parts that belong to no item."""
    parts: defaultdict[ItemKey, list[str]] = defaultdict(list)
    for difference in batch:
        # When an edge is deleted, its nodes are deleted too unless other edges use them.
        affected = (difference.part, difference.start, difference.end)
        parts[ItemKey(difference.tenant_id, difference.source_key)] += filter(None, affected)
    with records.begin() as connection:
        stage = written_by(connection, audited.name)
        known = work.find_rows(connection, stage, list(parts)).keys() if stage else set[ItemKey]()
        mine = {key: found for key, found in parts.items() if key in known}
        reopen(connection, audited.name, list(mine))
        ledger.mark_unknown(connection, audited.name, mine)
    orphans = [each for each in batch if each.kind == "extra" and (each.tenant_id, each.source_key) not in known]
    if orphans:
        audited.remove(orphans)
    report.reopened += len(mine)
    report.removed += len(orphans)


def _iter_expected(records: Records, name: Projection) -> Iterator[Expected]:
    after: ItemKey | None = None
    while True:
        with records.reading() as connection:
            page = ledger.entries(connection, name, after, BATCH_ITEMS)
        for key, recorded in page:
            yield from _expected_parts(key, recorded)
        if len(page) < BATCH_ITEMS:
            return
        after = page[-1][0]


def _expected_parts(key: ItemKey, recorded: LedgerEntry) -> Iterator[Expected]:
    """Yield the expected parts of an item; while it is written, old and new parts may exist with any content."""
    if recorded.intended:
        yield from (Expected(part, *key, None) for part in recorded.intended.keys() | recorded.confirmed.keys())
    else:
        yield from (Expected(part, *key, content) for part, content in recorded.confirmed.items())


def _found_points(records: Records, vectors: VectorStore, model: str) -> Iterator[FoundPart]:
    page: list[Point] = []
    for point in vectors.points_with_vectors():
        page.append(point)
        if len(page) == BATCH_POINTS:
            yield from _found_page(records, page, model)
            page = []
    yield from _found_page(records, page, model)


def _found_page(records: Records, page: Sequence[Point], model: str) -> Iterator[FoundPart]:
    chunks = {point.id: chunk for point in page if (chunk := _chunk_key(point))}
    with records.reading() as connection:
        stored = vectors_of_chunks(connection, list(chunks.values()), model)
    for point in page:
        payload = point.payload
        vector = stored.get(chunks[point.id]) if point.id in chunks else None
        same = vector is not None and _is_same(point, vector)
        content = points.content_of(model, vector.text_hash, payload) if vector is not None and same else ALTERED
        yield FoundPart(point.id, str(payload.get("tenant_id", "")), str(payload.get("source", "")), content)


def _chunk_key(point: Point) -> ChunkKey | None:
    """Return the chunk that a payload names, or None if it is not a valid key of the record store."""
    tenant, source, part, ordinal = map(point.payload.get, ("tenant_id", "source", "part", "ordinal"))
    if not (isinstance(tenant, str) and isinstance(source, str) and isinstance(part, str)):
        return None
    if type(ordinal) is not int or ordinal not in ORDINALS or "\0" in tenant + source + part:
        return None
    return ChunkKey(tenant, source, part, ordinal)


def _is_same(point: Point, kept: Any) -> bool:
    dense = np.frombuffer(kept.dense, "<f4")
    indices, values = np.frombuffer(kept.sparse_indices, "<u4"), np.frombuffer(kept.sparse_values, "<f4")
    sparse = np.asarray(point.sparse.values, np.float32)
    return (
        list(point.sparse.indices) == indices.tolist() and _is_close(point.dense, dense) and _is_close(sparse, values)
    )


def _is_close(found: Vector, kept: Vector) -> bool:
    return found.shape == kept.shape and bool(np.abs(found - kept).max(initial=0.0) <= VECTOR_TOLERANCE)


def _found_parts(graph: GraphStore) -> Iterator[FoundPart]:
    for node in graph.nodes():
        properties = node.properties
        yield FoundPart(
            f"{node.label} {node.id}",
            str(properties["tenant_id"]),
            str(properties.get("source") or ""),
            _part_content(node),
        )
    for edge in graph.edges():
        yield FoundPart(
            f"{edge.type} {edge.id}",
            *parse_edge_source(edge.source),
            _part_content(edge),
            *map(" ".join, (edge.start, edge.end)),
        )


def _part_content(part: Node | Edge) -> str:
    return content_fingerprint(part) if matches_id(part) else ALTERED


def _build_removal(extra: Sequence[Difference]) -> GraphChange:
    edges, nodes = [], []
    for difference in extra:
        label, _, part_id = difference.part.partition(" ")
        if label in EDGE_TYPES:
            start, _, start_id = difference.start.partition(" ")
            edges.append(EdgeRef(label, part_id, (start, start_id)))
        else:
            nodes.append((label, part_id))
    return GraphChange(delete_edges=edges, release_nodes=nodes)
