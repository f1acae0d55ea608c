"""Relevance metrics of search, and regressions between two indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOP_K = 10
"""Results that count; later ones count as not found."""
TOLERANCE = 0.03
"""Tolerated decrease of a figure: with 100 queries, three of them."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Relevance of a set of queries.

    Attributes:
        recall: share of the queries whose source is among the first ten results.
        rank: mean reciprocal rank of that source; 0 if it is not among them.
    """

    recall: float
    rank: float


def compute_figures(ranks: Sequence[int | None]) -> Figures:
    """Return the figures of a set of queries.

    Args:
        ranks: for each query the 1-based rank of its source; None if it was not found.
    """
    if not ranks:
        return Figures(0.0, 0.0)
    found = [rank for rank in ranks if rank is not None and rank <= TOP_K]
    return Figures(len(found) / len(ranks), sum(1 / rank for rank in found) / len(ranks))


def find_rank(wanted: str, ranking: Sequence[str]) -> int | None:
    """Return the 1-based rank of a source in a ranking that may contain sources repeatedly; None without it."""
    distinct = list(dict.fromkeys(ranking))
    return distinct.index(wanted) + 1 if wanted in distinct else None


def regressions(before: Mapping[str, Figures], after: Mapping[str, Figures]) -> list[str]:
    """Return a sentence for each figure that is worse by more than the tolerance."""
    found = []
    for mode, old in before.items():
        for name, previous, current in (
            (f"recall@{TOP_K}", old.recall, after[mode].recall),
            ("mean reciprocal rank", old.rank, after[mode].rank),
        ):
            if current < previous - TOLERANCE:
                found.append(f"{name} by {mode} {previous:.2f} -> {current:.2f}")
    return found
