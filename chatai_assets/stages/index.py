"""Chunks, vectors and tags -> points in the vector index."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping

from chatai_assets.adapters.records import content, embeddings, enrichment, ledger
from chatai_assets.adapters.records.pages import pages_of_owner
from chatai_assets.adapters.records.store import Records
from chatai_assets.adapters.records.work import Key
from chatai_assets.adapters.vectors.port import Point, Sparse, VectorStore
from chatai_assets.domain.chunking import BODY
from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.keys import Stage, canonical_json, digest, fingerprint, point_id
from chatai_assets.stages.batches import BatchResult, Scope, StageReport, run_stage
from chatai_assets.stages.documents import fail_documents
from chatai_assets.stages.losses import projected_vectors, recovering
from chatai_assets.stages.projections import Changes, announce, confirm, needs_writing

CODE_VERSION = "1"
UPSERT_POINTS = 1_000
"""Points handed to the index at once."""

Payload = dict[str, Any]


def index_hour(scope: Scope, *, records: Records, vectors: VectorStore, model: str) -> StageReport:
    """Make the vector index hold exactly the latest revision of what is due; documents become ``completed``.

    Args:
        model: whose vectors are indexed.
    """
    indexing = _Indexing(scope, records, vectors, model)
    return recovering(
        lambda: run_stage(scope, records, indexing, batch_items=scope.projection_items),
        records,
        projected_vectors(vectors),
    )


class _Indexing:
    stage: Stage = "index"
    withdraws: Sequence[Stage] = ()
    done_without: Sequence[Stage] = ()

    def __init__(self, scope: Scope, records: Records, vectors: VectorStore, model: str) -> None:
        self.scope = scope
        self.records = records
        self.vectors = vectors
        self.model = model
        self.fingerprint = fingerprint("index", model, CODE_VERSION)

    def write_failed(self, connection: Connection, failures: Mapping[Key, ChatAIError]) -> None:
        if self.scope.stream == "documents":
            fail_documents(connection, failures)

    def compute(self, owner: str) -> BatchResult:
        with self.records.reading() as connection:
            items = content.claimed_items(connection, self.scope.stream, owner)
            chunks = content.claimed_chunks(connection, owner, with_text=False)
            tags = enrichment.tags_of_owner(connection, owner)
            pages = _titles(pages_of_owner(connection, owner))
            embedded = embeddings.embedded_texts(connection, owner, self.model)
            before = ledger.recorded(connection, owner, "vectors")
        wanted = _wanted_points(self.scope.stream, items, chunks, embedded, tags, pages)
        desired = {
            key: {i: content_of(self.model, *point) for i, point in points.items()} for key, points in wanted.items()
        }
        changes = Changes({})
        if needs_writing(desired, before):
            changes = self._write(owner, wanted, desired)
        return self._result(desired, changes)

    def _write(
        self, owner: str, wanted: Mapping[Key, Mapping[str, tuple[str, Payload]]], desired: dict[Key, dict[str, str]]
    ) -> Changes:
        with self.vectors.writing() as writer:
            changes = announce(self.records, "vectors", owner, desired, writer.mark)
            with self.records.reading() as connection:
                kept = embeddings.vectors_of_owner(connection, owner, self.model)
            points = [
                _point(i, *wanted[key][i], kept[key[0], wanted[key][i][0]])
                for key, plan in changes.plans.items()
                for i in plan.upserts
            ]
            for start in range(0, len(points), UPSERT_POINTS):
                writer.upsert(points[start : start + UPSERT_POINTS])
            writer.delete([i for plan in changes.plans.values() for i in plan.deletes])
            if changes.mark:
                writer.sign(changes.mark)
        return changes

    def _result(self, desired: dict[Key, dict[str, str]], changes: Changes) -> BatchResult:
        def write(connection: Connection, held: set[Key]) -> None:
            confirm(connection, "vectors", changes, {key: points for key, points in desired.items() if key in held})
            rows = [_searchable(self.scope.stream, key, len(points)) for key, points in desired.items() if key in held]
            # A document of which nothing is found is not completed; whoever failed it has said why.
            shown = rows if self.scope.stream == "posts" else [row for row in rows if row["chunks_count"]]
            content.write_items(connection, self.scope.stream, shown)

        preview = [
            {"source": key[1], "points": len(points), "written": key in changes.plans}
            for key, points in list(desired.items())[:10]
        ]
        return BatchResult(
            write=write,
            unchanged=len(desired) - len(changes.plans),
            counts=Counter(points_written=changes.written, points_deleted=changes.deleted),
            preview=preview,
        )


def _wanted_points(
    stream: str,
    items: Sequence[RowMapping],
    chunks: Sequence[RowMapping],
    embedded: Collection[tuple[str, str]],
    tags: Mapping[Key, tuple[str, tuple[str, ...]]],
    pages: Mapping[tuple[Key, str], Payload],
) -> dict[Key, dict[str, tuple[str, Payload]]]:
    """Return item -> point id -> (text hash, payload).

    An item without text has none; nor has one whose body is embedded in part, lest parts of it pass for the whole.
    Of its linked pages those count that are embedded whole.
    """
    by_item: defaultdict[Key, list[RowMapping]] = defaultdict(list)
    for chunk in chunks:
        by_item[chunk["tenant_id"], chunk["source_key"]].append(chunk)
    wanted = {}
    for item in items:
        key = (item["tenant_id"], item["source_key"])
        about = _about(stream, item, tags.get(key, ("", ()))[1])
        lacking = {chunk["part"] for chunk in by_item[key] if _place(chunk) not in embedded}
        mine = by_item[key] if item["has_text"] and BODY not in lacking else []
        wanted[key] = {
            _id(chunk): (chunk["text_hash"], _payload(about | pages.get((key, chunk["part"]), {}), chunk))
            for chunk in mine
            if chunk["part"] not in lacking
        }
    return wanted


def _titles(told: Mapping[Key, Mapping[str, Any]]) -> dict[tuple[Key, str], Payload]:
    """Return item and part -> title and address of the linked page that the part is."""
    return {
        (key, page["part"]): {"title": page["title"], "url": page["url"]}
        for key, value in told.items()
        for page in reversed(value["pages"])
        if page["part"]
    }


def _about(stream: str, item: RowMapping, tags: Sequence[str]) -> Payload:
    return {
        "tenant_id": item["tenant_id"],
        "source": item["source_key"],
        "kind": "post" if stream == "posts" else "document",
        "title": item["title"],
        "channel": item["channel"],
        "url": item["url"],
        "language": item["language"],
        "published_at": item["published_at"],
        "expires_at": item["expires_at"],
        "tags": list(tags),
    }


def _payload(about: Payload, chunk: RowMapping) -> Payload:
    return about | {name: chunk[name] for name in ("part", "ordinal", "page", "start", "end")}


def _id(chunk: RowMapping) -> str:
    return str(point_id(chunk["tenant_id"], chunk["source_key"], chunk["part"], chunk["ordinal"]))


def _place(chunk: RowMapping) -> tuple[str, str]:
    return chunk["tenant_id"], chunk["text_hash"]


def content_of(model: str, text_hash: str, payload: Mapping[str, Any]) -> str:
    """Return a fingerprint of a point: who embedded which text, and what stands beside it."""
    return digest(model, text_hash, canonical_json(payload))[:16]


def _point(i: str, _text_hash: str, payload: Payload, vector: RowMapping) -> Point:
    indices = np.frombuffer(vector["sparse_indices"], "<u4").tolist()
    values = np.frombuffer(vector["sparse_values"], "<f4").tolist()
    return Point(i, np.frombuffer(vector["dense"], "<f4"), Sparse(indices, values), payload)


def _searchable(stream: str, key: Key, chunks_count: int) -> dict[str, Any]:
    row = {"tenant_id": key[0], "source_key": key[1], "chunks_count": chunks_count}
    return row if stream == "posts" else row | {"status": "completed", "error": None, "error_code": None}
