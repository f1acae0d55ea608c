"""Fuses dense (vector) and lexical (BM25) scores of candidates to one ranking.

Dense scores are comparable across languages; lexical scores are not: a passage in another language shares no words with
the query, however relevant it is. Rank fusion would let the query's own language crowd out the other. Here the *scores*
are added, the lexical one divided by the number of query words, so that a chance match of one word weighs little. After
the first places the languages compete by dense score alone. The README has the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEXICAL_WEIGHT = 0.12
"""Cosine that one BM25 point per query word is worth, for the offline encoder; 0.08 to 0.15 give similar results."""
LEADERS = 3
"""First places, which go to the best added scores in any language."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A point found by vector or by words.

    Attributes:
        dense: cosine of its vector and the query's.
        lexical: BM25 of its words and the query's; 0 if they share none.
        language: of its text; "" if unknown.
    """

    key: str
    dense: float
    lexical: float
    language: str = ""


def fuse(candidates: Sequence[Candidate], words: int) -> list[tuple[str, float]]:
    """Return keys and scores, best first.

    The leaders have their added scores. Below them, the candidates of one language are ordered by added score, and the
    n-th of them gets that language's n-th best dense score, which is never above a leader's.

    Args:
        candidates: with unique keys.
        words: number of distinct words in the query, including those that no text contains.
    """
    added = {c.key: c.dense + LEXICAL_WEIGHT * c.lexical / max(words, 1) for c in candidates}
    leaders = _best_first(added.items())[:LEADERS]
    scores: dict[str, float] = {}
    for group in _by_language(candidates).values():
        ordered = _best_first((c.key, added[c.key]) for c in group)
        dense = sorted((c.dense for c in group), reverse=True)
        scores |= {key: score for (key, _), score in zip(ordered, dense, strict=True)}
    return _best_first((scores | dict(leaders)).items())


def _best_first(scored: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))


def _by_language(candidates: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.language, []).append(candidate)
    return groups
