"""Protocols of the models that stages use.

The outcome of one item is its value or the ``ChatAIError`` of this item alone, so that the other items of a batch are
not affected. A call that *raises* has failed for all of them (an ``Outage``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.extraction import Extraction

Vector = NDArray[np.float32]
Item = TypeVar("Item")


class CostLabel(NamedTuple):
    """Stream and hour that a question is charged to."""

    stream: str
    hour: str


SEARCH = CostLabel("", "")
"""Of the queries of people."""


class ModelInput(NamedTuple):
    """A text with the tenant it belongs to: quotas and cached answers are separate for each tenant."""

    tenant_id: str
    text: str
    purpose: CostLabel = SEARCH


@runtime_checkable
class UsageReporter(Protocol):
    """A model whose answers cost money."""

    def pop_usage(self) -> Counter[str]:
        """Return what was counted since the last call, of all requests of this process to the provider.

        ``provider_calls``, ``provider_retries``, ``provider_tokens`` and its parts, ``provider_money_nano``,
        ``cache_hits``, ``cache_misses``, ``quota_waits``, ``quota_waited_ms``, ..., also those that are 0.
        """
        ...


@runtime_checkable
class HealthCheck(Protocol):
    """A model behind a network."""

    def check(self) -> None:
        """Request something that is free; raises ``ChatAIError`` if there is no answer or the key is refused."""
        ...


def pop_usage_of(model: object) -> Counter[str]:
    """Return the usage of a model since the last call; empty for a model that costs nothing."""
    return model.pop_usage() if isinstance(model, UsageReporter) else Counter()


@runtime_checkable
class Cacheable(Protocol):
    """A model whose answers are cached in the record store, since they were paid for."""

    def cache_key(self, question: ModelInput) -> str | None:
        """Return the fingerprint under which an answer is cached; None for a question that is never sent."""
        ...


def uses_cache_key(model: object, asked: Iterable[tuple[Item, ModelInput]]) -> list[tuple[Item, str]]:
    """Return item and fingerprint of each cached answer it uses; empty for a model without a cache."""
    if not isinstance(model, Cacheable):
        return []
    return [(item, key) for item, question in asked if (key := model.cache_key(question))]


class Embedder(Protocol):
    """Text -> dense vector."""

    @property
    def model(self) -> str:
        """Name and version; the key under which vectors are stored."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        ...

    def embed(self, questions: Sequence[ModelInput]) -> Sequence[Vector | ChatAIError]:
        """Return one unit-length float32 vector of shape ``(dimensions,)`` per question, in order."""
        ...


class Tagger(Protocol):
    """Text -> topic tags."""

    @property
    def model(self) -> str:
        """Name and version; part of the fingerprint of what it answers."""
        ...

    def tag(self, questions: Sequence[ModelInput]) -> Sequence[Sequence[str] | ChatAIError]:
        """Return candidate tags per question, best first; ``domain.tagging`` checks them, never trust them."""
        ...


class Extractor(Protocol):
    """Chunk -> entities and relations."""

    @property
    def model(self) -> str:
        """Name and version; part of the fingerprint of what it answers."""
        ...

    def extract(self, questions: Sequence[ModelInput]) -> Sequence[Extraction | ChatAIError]:
        """Return entities and relations of each chunk; ``domain.extraction`` checks them."""
        ...
