"""The providers of models: everything that is known about one before it is called, described once.

A new provider is an entry here, its settings in ``settings.providers`` and its adapter in ``adapters.models``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider.

    Attributes:
        name: as settings and the record store write it; in capitals the prefix of its environment variables.
        display_name: as people write it.
        adapter: module and class of ``adapters.models`` that call it, as ``module:Class``; imported on first use.
        has_chat: whether it can tag and extract.
        has_embeddings: whether it can embed.
        reports_costs: whether its answers say what they cost; if not, prices come from ``CHATAI_PRICES``.
    """

    name: str
    display_name: str
    adapter: str
    has_chat: bool = True
    has_embeddings: bool = True
    reports_costs: bool = False

    @property
    def key_variable(self) -> str:
        """Environment variable of its key."""
        return f"{self.name.upper()}_API_KEY"


def _by_name(specs: Iterable[ProviderSpec]) -> Mapping[str, ProviderSpec]:
    return {spec.name: spec for spec in specs}


PROVIDERS = _by_name(
    [
        ProviderSpec("gigachat", "GigaChat", "gigachat:GigaChat"),
        ProviderSpec("openrouter", "OpenRouter", "openrouter:OpenRouter", reports_costs=True),
    ]
)
"""Name -> provider. The first with a key is the default for tags and embeddings, the last one for extraction."""
CHAT_PROVIDERS = tuple(name for name, spec in PROVIDERS.items() if spec.has_chat)
EMBEDDING_PROVIDERS = tuple(name for name, spec in PROVIDERS.items() if spec.has_embeddings)
