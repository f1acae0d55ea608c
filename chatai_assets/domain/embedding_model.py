"""References to embedding models, as people write them: ``offline``, ``free:512``, ``openrouter:model@1536``.

The record store keeps references in full, with model and dimensions, so that a later change of settings cannot change
their meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chatai_assets.domain.providers import EMBEDDING_PROVIDERS

FREE_DIMENSIONS = 256
FREE_SIZES = tuple(2**power for power in range(1, 13))
SYNTAX = (
    f"offline, free, free:512, {', '.join(EMBEDDING_PROVIDERS)}, or with a model: "
    f"openrouter:openai/text-embedding-3-large@3072"
)
_SYNTAX = re.compile(r"(?P<name>[a-z]+)(?::(?P<model>[^@\s]+)(?:@(?P<dimensions>[1-9][0-9]{0,4}))?)?")


@dataclass(frozen=True, slots=True)
class EmbeddingModelRef:
    """An embedding model.

    Attributes:
        name: ``offline``, ``free`` or one of ``EMBEDDING_PROVIDERS``.
        model: of a provider; "" for the one that the settings name.
        dimensions: of the vectors; 0 for those that the settings name, or where the model has only one size.
    """

    name: str
    model: str = ""
    dimensions: int = 0

    def __str__(self) -> str:
        if self.name == "free":
            return self.name if self.dimensions == FREE_DIMENSIONS else f"free:{self.dimensions}"
        return f"{self.name}:{self.model}@{self.dimensions}" if self.model else self.name


def parse_embedding_model(text: str) -> EmbeddingModelRef:
    """Parse a reference.

    Raises:
        ValueError: the text is none; the message is one sentence for people.
    """
    match = _SYNTAX.fullmatch(text.strip())
    name, model, dimensions = match.group("name", "model", "dimensions") if match else ("", "", "")
    if name == "offline" and not model:
        return EmbeddingModelRef(name)
    if name == "free" and not dimensions and (not model or model in map(str, FREE_SIZES)):
        return EmbeddingModelRef(name, dimensions=int(model or FREE_DIMENSIONS))
    if name in EMBEDDING_PROVIDERS and bool(model) == bool(dimensions):
        return EmbeddingModelRef(name, model or "", int(dimensions or 0))
    raise ValueError(f"{text!r} names no embedder: it must be one of {SYNTAX}.")
