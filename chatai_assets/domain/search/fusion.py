"""What a question's meaning and its words say of each candidate -> one ranking.

The dense score of a candidate compares across languages; its lexical score does not: a passage in another language
shares no words with the question, however right it is. Rank fusion lets the question's own language crowd the other
out. Here the *scores* are added, the lexical one per word of the question, so that a chance match of one word
weighs little; after the first places the languages compete by meaning alone. The README has the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEXICAL_WEIGHT = 0.12
"""What one BM25 point per word of the question is worth in cosine, for the offline encoder; 0.08 to 0.15 are alike."""
LEADERS = 3
"""Places that the best go to in any language, words included."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A point that meaning or words brought up.

    Attributes:
        dense: cosine of its vector and the question's.
        lexical: BM25 of its words and the question's; 0 when they share none.
        language: the language of its text; "" when unknown.
    """

    key: str
    dense: float
    lexical: float
    language: str = ""


def fuse(candidates: Sequence[Candidate], words: int) -> list[tuple[str, float]]:
    """Return keys and scores, best first.

    The leaders have their added scores. Below them, the candidates of one language stand in the order of their added
    scores, and the n-th of them has that language's n-th best dense score, which is never above a leader's.

    Args:
        candidates: no key twice.
        words: distinct words of the question, those that no text holds included.
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
