"""Reindexing steps shared by tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.adapters.models.fake import HashedEmbedder
from chatai_assets.domain.errors import ProviderUnreachable
from chatai_assets.operations.reindexing import (
    BuildProgress,
    ReindexContext,
    ReindexResult,
    build,
    reindex,
    start,
    start_rebuild,
    start_rollback,
)
from chatai_assets.operations.relevance import EvalQuery, sample_queries
from chatai_assets.services import Services
from chatai_assets_tests.support.pipeline import Limits, stage_run_config


def reindex_context(services: Services, ends: float = float("inf")) -> ReindexContext:
    """Return the context of a reindex."""
    return ReindexContext(
        services.records,
        services.indexes,
        services.stems,
        lambda stream, hour: stage_run_config(stream, hour, Limits()),
        ends,
    )


def build_index(services: Services, to: str, *, begun: bool = False, ends: float = float("inf")) -> BuildProgress:
    """Build an index without activating it."""
    means, found = reindex_context(services, time.monotonic() + ends), BuildProgress()
    index = services.indexes.of("filling") if begun else start(means, *services.resolve_embedder(to))
    assert index
    build(means, index, found)
    return found


def run_reindex(
    services: Services, to: str, *, asked: Callable[[], Sequence[EvalQuery]] | None = None, **options: Any
) -> ReindexResult:
    """Reindex with another embedder and activate it if its relevance is sufficient."""
    means = reindex_context(services)
    index = start(means, *services.resolve_embedder(to))
    return reindex(means, index, asked or (lambda: sample_queries(services.records, 1, 30)), **options)


def run_rebuild(services: Services) -> ReindexResult:
    """Let an index of the newest layout serve, by the same model."""
    means = reindex_context(services)
    return reindex(means, start_rebuild(means), lambda: sample_queries(services.records, 1, 30))


def run_rollback(services: Services) -> ReindexResult:
    """Roll back to the previous index."""
    means = reindex_context(services)
    return reindex(means, start_rollback(means), None)


def active_points(services: Services) -> dict[str, Any]:
    """Return the payloads of the points of the active index."""
    return dict(services.indexes.serving().vectors.points())


class UnreachableEmbedder(HashedEmbedder):
    """An embedder whose provider is down."""

    def embed(self, _questions: Sequence[ModelInput]) -> list[Any]:
        raise ProviderUnreachable("nobody answers")
