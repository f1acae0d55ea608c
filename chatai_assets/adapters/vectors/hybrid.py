"""A hybrid search, whoever looks the points up.

Candidates come from the words and from the meaning, the latter in each language by itself; then both scores of every
candidate are asked for, since fusion adds scores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from chatai_assets.adapters.vectors.base import Hit, Query
from chatai_assets.domain.search.fusion import Candidate, fuse

LANGUAGES = ("ru", "en")
"""Languages that are looked through by themselves; all others are one group."""
CANDIDATES = 50
"""From the words, and from the meaning in each language."""


class Scored(Protocol):
    """A candidate with one of its scores; its payload comes with the score of its meaning only."""

    @property
    def id(self) -> Any:
        """UUID, as an object or as text."""
        ...

    @property
    def score(self) -> float:
        """Cosine, or BM25 of the words that are shared."""
        ...

    @property
    def payload(self) -> Any:
        """JSON values, or None."""
        ...


def fused(by_meaning: Iterable[Scored], by_words: Iterable[Scored] = (), *, query: Query) -> list[Hit]:
    """Return the hits of a query, best first, from both scores of its candidates."""
    found = {str(point.id): point for point in by_meaning}
    lexical = {str(point.id): point.score for point in by_words}
    candidates = [
        Candidate(key, point.score, lexical.get(key, 0.0), (point.payload or {}).get("language") or "")
        for key, point in found.items()
    ]
    ranking = fuse(candidates, words=len(query.sparse.indices))
    return [Hit(key, score, found[key].payload or {}) for key, score in ranking[: query.limit]]
