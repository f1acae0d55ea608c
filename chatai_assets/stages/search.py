"""A question -> chunks that answer it, with where each comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chatai_assets.adapters.models.ports import Embedder, Question
from chatai_assets.adapters.records import content
from chatai_assets.adapters.records.store import Records
from chatai_assets.adapters.vectors.port import Hit, Query, Sparse, VectorStore
from chatai_assets.domain.embedding import query_terms
from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.revisions import Kind


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that answers a question.

    Attributes:
        source: source key of the post or document.
        score: higher is better; scores of different questions do not compare.
        start: first character of the chunk in the parsed text of its source, or of the linked page.
        page: of documents that have pages.
        url: of the post, or of the page it links to where that says so; None for documents.
    """

    source: str
    kind: str
    score: float
    text: str
    start: int
    end: int
    page: int | None
    title: str | None
    url: str | None
    channel: str | None
    published_at: int | None
    tags: list[str]


def search(
    question: str,
    *,
    limit: int,
    tenant_id: str,
    kind: Kind | None,
    records: Records,
    vectors: VectorStore,
    embedder: Embedder,
    stems: Callable[[str], Sequence[str]],
) -> list[Found]:
    """Return the best chunks of a tenant for a question, best first; works while a run is writing.

    Raises:
        ChatAIError: the question cannot be embedded.
        StoreUnavailable: the index or the record store cannot be read.
    """
    dense = embedder.embed([Question(tenant_id, question)])[0]
    if isinstance(dense, ChatAIError):
        raise dense
    filters = {"tenant_id": tenant_id} | ({"kind": kind} if kind else {})
    hits = vectors.search(Query(dense, Sparse(*query_terms(stems(question))), limit, filters))
    with records.reading() as connection:
        texts = content.texts_of_points(connection, [_place(hit) for hit in hits])
    # A chunk whose text is gone was edited away between the two reads: its point is about to go as well.
    return [_found(hit, texts[_place(hit)]) for hit in hits if _place(hit) in texts]


def _place(hit: Hit) -> tuple[str, str, str, int]:
    payload = hit.payload
    return payload["tenant_id"], payload["source"], payload["part"], payload["ordinal"]


def _found(hit: Hit, text: str) -> Found:
    payload: dict[str, Any] = dict(hit.payload)
    return Found(
        source=payload["source"],
        kind=payload["kind"],
        score=round(hit.score, 6),
        text=text,
        start=payload["start"],
        end=payload["end"],
        page=payload.get("page"),
        title=payload.get("title"),
        url=payload.get("url"),
        channel=payload.get("channel"),
        published_at=payload.get("published_at"),
        tags=payload.get("tags") or [],
    )
