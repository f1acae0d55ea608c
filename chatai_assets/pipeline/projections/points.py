"""Turns chunks, vectors and tags into points of a vector index, for every stage that writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from chatai_assets.adapters.vectors.base import Point, Sparse
from chatai_assets.domain.ids import ItemKey, Stream, canonical_json, digest, point_id
from chatai_assets.domain.text.chunking import BODY
from chatai_assets.pipeline.projections.vector_indexes import OpenIndex
from chatai_assets.pipeline.projections.writes import PendingWrites, needs_writing, record_intent
from chatai_assets.storage import embeddings, enrichment
from chatai_assets.storage import items as content
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage.embeddings import VectorRow
from chatai_assets.storage.engine import Records
from chatai_assets.storage.enrichment import StoredTags
from chatai_assets.storage.items import ChunkRow, ClaimedItem, TextKey
from chatai_assets.storage.vector_indexes import State, require_state
from chatai_assets.storage.web_pages import LinkedPages, pages_of_owner

UPSERT_POINTS = 1_000
"""Points handed to the index at once."""

Payload = dict[str, Any]
Wanted = Mapping[ItemKey, Mapping[str, tuple[str, Payload]]]
"""Item -> point id -> hash of its text, payload."""


class IndexedItem(ClaimedItem):
    """The columns of an item that its points carry; None where the items of a stream have no such column.

    A new field of the payload is a line here and in ``_about``. If search is to filter by it, collections index it as
    well (``adapters.vectors.collection``).
    """

    title: str | None
    channel: str | None
    url: str | None
    language: str | None
    published_at: int | None
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Written:
    """What an index holds now of the items of a claim.

    Attributes:
        desired: item -> point id -> fingerprint of content; without the items that were left out.
    """

    desired: dict[ItemKey, dict[str, str]]
    changes: PendingWrites


def write_points(
    records: Records, index: OpenIndex, state: State, stream: Stream, owner: str, leave_out: Collection[ItemKey] = ()
) -> Written:
    """Make an index hold exactly what the record store knows of the items of a claim; the caller confirms it.

    Args:
        state: the state the index must have.
        leave_out: items whose points stay as they are.

    Raises:
        IndexSuperseded: the index has another state.
        ProjectionMismatch: the ledger describes another store.
    """
    with records.reading() as connection:
        items = content.claimed_items(connection, stream, owner, IndexedItem)
        chunks = content.claimed_chunks(connection, owner)
        tags = enrichment.tags_of_owner(connection, owner)
        pages = _titles(pages_of_owner(connection, owner))
        embedded = embeddings.embedded_texts(connection, owner, index.model)
        before = ledger.entries_of_claim(connection, owner, index.projection)
    wanted = _wanted_points(stream, items, chunks, embedded, tags, pages)
    desired = {
        key: {i: content_of(index.model, *point) for i, point in points.items()}
        for key, points in wanted.items()
        if key not in leave_out
    }
    changes = PendingWrites({})
    if needs_writing(desired, before):
        changes = _write(records, index, state, owner, wanted, desired)
    return Written(desired, changes)


def _write(
    records: Records, index: OpenIndex, state: State, owner: str, wanted: Wanted, desired: dict[ItemKey, dict[str, str]]
) -> PendingWrites:
    check = partial(require_state, number=index.about.number, state=state)
    with index.vectors.writing() as writer:
        changes = record_intent(records, index.projection, owner, desired, writer.generation, check)
        with records.reading() as connection:
            vectors = embeddings.vectors_of_owner(connection, owner, index.model)
        points = [
            _point(i, payload, vectors[TextKey(key.tenant_id, text_hash)])
            for key, plan in changes.plans.items()
            for i, (text_hash, payload) in ((i, wanted[key][i]) for i in plan.upserts)
            # Items that were taken away meanwhile have no vectors here, and are not confirmed.
            if TextKey(key.tenant_id, text_hash) in vectors
        ]
        for start in range(0, len(points), UPSERT_POINTS):
            writer.upsert(points[start : start + UPSERT_POINTS])
        writer.delete([i for plan in changes.plans.values() for i in plan.deletes])
        if changes.generation:
            writer.write_generation(changes.generation)
    return changes


def _wanted_points(
    stream: str,
    items: Sequence[IndexedItem],
    chunks: Sequence[ChunkRow],
    embedded: Collection[TextKey],
    tags: Mapping[ItemKey, StoredTags],
    pages: Mapping[tuple[ItemKey, str], Payload],
) -> dict[ItemKey, dict[str, tuple[str, Payload]]]:
    """Return item -> point id -> (text hash, payload).

    An item without text has none; nor has one whose body is only partly embedded, since search would take the part for
    the whole. Linked pages count if they are embedded completely.
    """
    by_item: defaultdict[ItemKey, list[ChunkRow]] = defaultdict(list)
    for chunk in chunks:
        by_item[ItemKey.of(chunk)].append(chunk)
    wanted = {}
    for item in items:
        key = ItemKey.of(item)
        about = _about(stream, item, tags[key].tags if key in tags else ())
        lacking = {chunk["part"] for chunk in by_item[key] if _text(chunk) not in embedded}
        mine = by_item[key] if item["has_text"] and BODY not in lacking else []
        wanted[key] = {
            _id(chunk): (chunk["text_hash"], _payload(about | pages.get((key, chunk["part"]), {}), chunk))
            for chunk in mine
            if chunk["part"] not in lacking
        }
    return wanted


def _titles(crawled: Mapping[ItemKey, LinkedPages]) -> dict[tuple[ItemKey, str], Payload]:
    """Return item and part -> title and address of the linked page that the part is."""
    return {
        (key, page["part"]): {"title": page["title"], "url": page["url"]}
        for key, value in crawled.items()
        for page in reversed(value["pages"])
        if page["part"]
    }


def _about(stream: str, item: IndexedItem, tags: Sequence[str]) -> Payload:
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


def _payload(about: Payload, chunk: ChunkRow) -> Payload:
    return {
        **about,
        "part": chunk["part"],
        "ordinal": chunk["ordinal"],
        "page": chunk["page"],
        "start": chunk["start"],
        "end": chunk["end"],
    }


def _id(chunk: ChunkRow) -> str:
    return str(point_id(chunk["tenant_id"], chunk["source_key"], chunk["part"], chunk["ordinal"]))


def _text(chunk: ChunkRow) -> TextKey:
    return TextKey(chunk["tenant_id"], chunk["text_hash"])


def content_of(model: str, text_hash: str, payload: Mapping[str, Any]) -> str:
    """Return the fingerprint of a point: the model that embedded it, its text and its payload."""
    return digest(model, text_hash, canonical_json(payload))[:16]


def _point(i: str, payload: Payload, vector: VectorRow) -> Point:
    indices = np.frombuffer(vector["sparse_indices"], "<u4").tolist()
    values = np.frombuffer(vector["sparse_values"], "<f4").tolist()
    return Point(i, np.frombuffer(vector["dense"], "<f4"), Sparse(indices, values), payload)
