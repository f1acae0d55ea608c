"""Who embeds, as people write it and the record store keeps it: ``offline``, ``free:512``, ``openrouter:model@1536``.

A kept one names all that its vectors hang on, so that no setting that changes later makes it mean something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FREE_DIMENSIONS = 256
FREE_SIZES = tuple(2**power for power in range(1, 13))
PROVIDERS = ("gigachat", "openrouter")
SYNTAX = "offline, free, free:512, gigachat, openrouter, or with a model: openrouter:openai/text-embedding-3-large@3072"
_SYNTAX = re.compile(r"(?P<name>[a-z]+)(?::(?P<model>[^@\s]+)(?:@(?P<dimensions>[1-9][0-9]{0,4}))?)?")


@dataclass(frozen=True, slots=True)
class EmbeddingModelRef:
    """Who embeds.

    Attributes:
        name: ``offline``, ``free``, ``gigachat`` or ``openrouter``.
        model: of a provider; "" for the one that the settings name.
        dimensions: of the vectors; 0 for those that the settings name, or that there are no others of.
    """

    name: str
    model: str = ""
    dimensions: int = 0

    def __str__(self) -> str:
        if self.name == "free":
            return self.name if self.dimensions == FREE_DIMENSIONS else f"free:{self.dimensions}"
        return f"{self.name}:{self.model}@{self.dimensions}" if self.model else self.name


def parse_embedding_model(text: str) -> EmbeddingModelRef:
    """Return who is meant; ``ValueError`` in one sentence where nobody is."""
    match = _SYNTAX.fullmatch(text.strip())
    name, model, dimensions = match.group("name", "model", "dimensions") if match else ("", "", "")
    if name == "offline" and not model:
        return EmbeddingModelRef(name)
    if name == "free" and not dimensions and (not model or model in map(str, FREE_SIZES)):
        return EmbeddingModelRef(name, dimensions=int(model or FREE_DIMENSIONS))
    if name in PROVIDERS and bool(model) == bool(dimensions):
        return EmbeddingModelRef(name, model or "", int(dimensions or 0))
    raise ValueError(f"{text!r} names no embedder: it must be one of {SYNTAX}.")
