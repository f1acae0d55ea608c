"""Hybrid search, shared by the embedded index and the server.

Candidates come from the sparse vector, and from the dense vector for each language separately. Then both scores of
every candidate are requested, since fusion adds scores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from chatai_assets.adapters.vectors.base import Hit, Query
from chatai_assets.domain.search.fusion import Candidate, fuse

LANGUAGES = ("ru", "en")
"""Languages searched separately; all others are one group."""
CANDIDATES = 50
"""By the sparse vector, and by the dense vector in each language."""


class Scored(Protocol):
    """A candidate with one of its scores; only dense results carry the payload."""

    @property
    def id(self) -> Any:
        """UUID, as an object or as text."""
        ...

    @property
    def score(self) -> float:
        """Cosine, or BM25 of the shared words."""
        ...

    @property
    def payload(self) -> Any:
        """JSON values, or None."""
        ...


def fuse_hits(by_meaning: Iterable[Scored], by_words: Iterable[Scored] = (), *, query: Query) -> list[Hit]:
    """Return the hits of a query, best first, from both scores of its candidates."""
    found = {str(point.id): point for point in by_meaning}
    lexical = {str(point.id): point.score for point in by_words}
    candidates = [
        Candidate(key, point.score, lexical.get(key, 0.0), (point.payload or {}).get("language") or "")
        for key, point in found.items()
    ]
    ranking = fuse(candidates, words=len(query.sparse.indices))
    return [Hit(key, score, found[key].payload or {}) for key, score in ranking[: query.limit]]
