"""Several rankings of the same points -> one."""

from __future__ import annotations

from collections.abc import Sequence

RANK_OFFSET = 60
"""k of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009)."""


def fuse(rankings: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the reciprocal rank fusion of rankings: id -> score, best first."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking):
            scores[key] = scores.get(key, 0.0) + 1 / (RANK_OFFSET + rank + 1)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))
