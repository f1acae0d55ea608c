"""A question -> chunks that answer it, with where each comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chatai_assets.adapters.models.base import ModelInput, Vector
from chatai_assets.adapters.vectors.base import Hit, Query, Sparse
from chatai_assets.domain.errors import ChatAIError, StoreUnavailable
from chatai_assets.domain.revisions import Kind
from chatai_assets.domain.search.sparse import query_terms
from chatai_assets.pipeline.projections.vector_indexes import MOVES, Indexes, OpenIndex, check_model
from chatai_assets.storage import items as content
from chatai_assets.storage.engine import Records
from chatai_assets.storage.items import ChunkKey


@dataclass(frozen=True, slots=True)
class FoundChunk:
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
    indexes: Indexes,
    stems: Callable[[str], Sequence[str]],
) -> list[FoundChunk]:
    """Return the best chunks of a tenant for a question, best first; works while a run is writing.

    Where another index begins to serve meanwhile, that one is asked: what served may be gone.

    Raises:
        ChatAIError: the question cannot be embedded.
        StoreUnavailable: the index or the record store cannot be read.
    """
    words = Sparse(*query_terms(stems(question)))
    filters = {"tenant_id": tenant_id} | ({"kind": kind} if kind else {})
    hits = _hits(indexes, lambda index: Query(meanings(index, [(tenant_id, question)])[0], words, limit, filters))
    with records.reading() as connection:
        texts = content.texts_of_points(connection, [_place(hit) for hit in hits])
    # A chunk whose text is gone was edited away between the two reads: its point is about to go as well.
    return [_found(hit, texts[_place(hit)]) for hit in hits if _place(hit) in texts]


def _hits(indexes: Indexes, query: Callable[[OpenIndex], Query]) -> list[Hit]:
    for _ in range(MOVES):
        index = indexes.serving()
        hits, fault = list[Hit](), None
        try:
            hits = index.vectors.search(query(index))
        except StoreUnavailable as error:
            fault = error
        if indexes.serving_now().number == index.about.number:
            break
    if fault:
        raise fault
    return hits


def meanings(index: OpenIndex, questions: Sequence[tuple[str, str]]) -> list[Vector]:
    """Return the vectors of questions, by the model that embedded what an index holds.

    Args:
        questions: tenant and words of each.

    Raises:
        ChatAIError: one of them cannot be embedded.
    """
    embedder = index.query_embedder
    check_model(index, embedder)
    answers = embedder.embed([ModelInput(tenant_id, question) for tenant_id, question in questions])
    for answer in answers:
        if isinstance(answer, ChatAIError):
            raise answer
    return [answer for answer in answers if not isinstance(answer, ChatAIError)]


def _place(hit: Hit) -> ChunkKey:
    payload = hit.payload
    return ChunkKey(payload["tenant_id"], payload["source"], payload["part"], payload["ordinal"])


def _found(hit: Hit, text: str) -> FoundChunk:
    payload: dict[str, Any] = dict(hit.payload)
    return FoundChunk(
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
