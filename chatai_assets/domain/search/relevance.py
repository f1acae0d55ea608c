"""How well questions find what they ask for, and whether one index finds it worse than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOP_K = 10
"""Of a ranking; what comes later counts as not found."""
TOLERANCE = 0.03
"""How much worse a figure may be: with 100 questions, three of them."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of questions found.

    Attributes:
        recall: share of the questions whose source is among the first ten.
        rank: mean of 1 / place of that source; 0 where it is not among them.
    """

    recall: float
    rank: float


def compute_figures(places: Sequence[int | None]) -> Figures:
    """Return the figures of questions.

    Args:
        places: of each question the place of what it asks for, 1 is the first; None where it was not found.
    """
    if not places:
        return Figures(0.0, 0.0)
    found = [place for place in places if place is not None and place <= TOP_K]
    return Figures(len(found) / len(places), sum(1 / place for place in found) / len(places))


def find_rank(wanted: str, ranking: Sequence[str]) -> int | None:
    """Return the place of a source in a ranking in which it may stand several times; None where it does not."""
    distinct = list(dict.fromkeys(ranking))
    return distinct.index(wanted) + 1 if wanted in distinct else None


def regressions(before: Mapping[str, Figures], after: Mapping[str, Figures]) -> list[str]:
    """Return in words which figures are worse by more than the tolerance."""
    said = []
    for way, old in before.items():
        for name, was, is_now in (
            (f"recall@{TOP_K}", old.recall, after[way].recall),
            ("mean reciprocal rank", old.rank, after[way].rank),
        ):
            if is_now < was - TOLERANCE:
                said.append(f"{name} by {way} {was:.2f} -> {is_now:.2f}")
    return said
