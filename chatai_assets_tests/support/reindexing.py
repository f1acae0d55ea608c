"""What tests do to let another model serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from chatai_assets.adapters.models.base import Question
from chatai_assets.adapters.models.fake import HashedEmbedder
from chatai_assets.domain.errors import ProviderUnreachable
from chatai_assets.operations.reindexing import Filled, Means, Reindexing, begin, begin_way_back, fill, reindex
from chatai_assets.operations.relevance import Asked, draw_questions
from chatai_assets.services import Parts
from chatai_assets_tests.support.pipeline import Limits, scope_of


def means_of(parts: Parts, ends: float = float("inf")) -> Means:
    """Return what filling needs."""
    return Means(parts.records, parts.indexes, parts.stems, lambda stream, hour: scope_of(stream, hour, Limits()), ends)


def filled(parts: Parts, to: str, *, begun: bool = False, ends: float = float("inf")) -> Filled:
    """Fill an index, and let it serve not."""
    means, found = means_of(parts, time.monotonic() + ends), Filled()
    index = parts.indexes.of("filling") if begun else begin(means, *parts.named(to))
    assert index
    fill(means, index, found)
    return found


def reindexed(
    parts: Parts, to: str, *, asked: Callable[[], Sequence[Asked]] | None = None, **options: Any
) -> Reindexing:
    """Let another embedder serve, if it is good enough."""
    means = means_of(parts)
    index = begin(means, *parts.named(to))
    return reindex(means, index, asked or (lambda: draw_questions(parts.records, 1, 30)), **options)


def back(parts: Parts) -> Reindexing:
    """Let the index serve that did before."""
    means = means_of(parts)
    return reindex(means, begin_way_back(means), None)


def served(parts: Parts) -> dict[str, Any]:
    """Return the payloads of the points of the index that serves."""
    return dict(parts.indexes.serving().vectors.points())


class Broken(HashedEmbedder):
    """An embedder whose provider is down."""

    def embed(self, _questions: Sequence[Question]) -> list[Any]:
        raise ProviderUnreachable("nobody answers")
