"""What a stage asks of a language model, whoever answers.

An answer of one item is its value or the ``ChatAIError`` that befell it alone, so that neighbours
go on; a call that *raises* speaks of all of them (an ``Outage``).
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
    """What a question is asked for; costs are told apart by it."""

    stream: str
    hour: str


SEARCH = CostLabel("", "")
"""Somebody asks for what is known."""


class ModelInput(NamedTuple):
    """A text, and on whose behalf it is asked about: quotas and kept answers are each tenant's own."""

    tenant_id: str
    text: str
    purpose: CostLabel = SEARCH


@runtime_checkable
class UsageReporter(Protocol):
    """A model whose answers cost time and money."""

    def pop_usage(self) -> Counter[str]:
        """Return what was counted since the last time, of all that was asked of this provider in this process.

        ``provider_calls``, ``provider_retries``, ``provider_tokens`` and its parts, ``provider_money_nano``,
        ``cache_hits``, ``cache_misses``, ``quota_waits``, ``quota_waited_ms``, ..., also those that are 0.
        """
        ...


@runtime_checkable
class HealthCheck(Protocol):
    """A model that is asked over the network."""

    def check(self) -> None:
        """Ask for something that costs nothing; raises ``ChatAIError`` where nobody answers or our key is refused."""
        ...


def pop_usage_of(model: object) -> Counter[str]:
    """Return what a model's last answers cost; nothing for one that costs nothing."""
    return model.pop_usage() if isinstance(model, UsageReporter) else Counter()


@runtime_checkable
class Cacheable(Protocol):
    """A model whose answers are kept in the record store, for they were paid for."""

    def cache_key(self, question: ModelInput) -> str | None:
        """Return the fingerprint under which the answer to a question is kept; None if nobody is asked it."""
        ...


def uses_cache_key(model: object, asked: Iterable[tuple[Item, ModelInput]]) -> list[tuple[Item, str]]:
    """Return item -> fingerprint of each kept answer it is given; nothing for a model that keeps none."""
    if not isinstance(model, Cacheable):
        return []
    return [(item, kept) for item, question in asked if (kept := model.cache_key(question))]


class Embedder(Protocol):
    """Text -> dense vector."""

    @property
    def model(self) -> str:
        """Name and version; the key under which vectors are kept."""
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
        """Return what each chunk says; ``domain.extraction`` checks it."""
        ...
