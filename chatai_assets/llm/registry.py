"""Opens taggers, extractors and embedders by the names that settings and the record store give them.

``offline`` models run in processes of this machine, ``free`` ones are nearly free and for benchmarks, all others are
asked of a provider. Their modules load libraries that take seconds, so each is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chatai_assets.domain.embedding_model import parse_embedding_model
from chatai_assets.domain.errors import ProviderMisconfigured
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.domain.rate_limits import RateLimitRules, limits_of, token_limits
from chatai_assets.settings import Settings
from chatai_assets.storage.engine import Records

if TYPE_CHECKING:
    from chatai_assets.adapters.models.base import Embedder, Extractor, Tagger
    from chatai_assets.adapters.models.provider import BackgroundLoop, Provider
    from chatai_assets.adapters.nlp.process_pool import ModelWorkers
    from chatai_assets.llm.client import LLMClient


class ModelRegistry:
    """All models of one process, and the clients of the providers that answer for some of them.

    Args:
        records: opens the record store, where providers' answers are cached and their rate limits counted.
        closing: closes worker processes and connections.
    """

    def __init__(self, settings: Settings, records: Callable[[], Records], closing: ExitStack) -> None:
        self._settings = settings
        self._records = records
        self._closing = closing
        self._clients: dict[str, LLMClient] = {}

    def open_tagger(self, name: str) -> Tagger:
        """Return the tagger of a name in ``ModelSettings``."""
        match name:
            case "free":
                from chatai_assets.adapters.models.fake import FirstWordsTagger

                return FirstWordsTagger()
            case "offline":
                from chatai_assets.adapters.nlp.models import PooledTagger

                return PooledTagger(self._workers)
            case provider:
                from chatai_assets.llm.models import LLMTagger

                return LLMTagger(self._client(provider))

    def open_extractor(self, name: str) -> Extractor:
        """Return the extractor of a name in ``ModelSettings``."""
        match name:
            case "free":
                from chatai_assets.adapters.models.fake import CapitalisedExtractor

                return CapitalisedExtractor()
            case "offline":
                from chatai_assets.adapters.nlp.models import PooledExtractor

                return PooledExtractor(self._workers)
            case provider:
                from chatai_assets.llm.models import LLMExtractor

                return LLMExtractor(self._client(provider))

    def open_embedder(self, reference: str) -> Embedder:
        """Return the embedder of a reference (``domain.embedding_model``), for many texts at a time."""
        if reference != "offline":
            return self.open_query_embedder(reference)
        from chatai_assets.adapters.nlp.models import PooledEmbedder

        return PooledEmbedder(self._workers)

    def open_query_embedder(self, reference: str) -> Embedder:
        """Return the embedder of a reference, for one query: in this process, since starting workers takes longer."""
        wanted = parse_embedding_model(reference)
        match wanted.name:
            case "free":
                from chatai_assets.adapters.models.fake import HashedEmbedder

                return HashedEmbedder(wanted.dimensions)
            case "offline":
                from chatai_assets.adapters.nlp.models import PooledEmbedder
                from chatai_assets.adapters.nlp.process_pool import ModelWorkers

                return PooledEmbedder(self._closing.enter_context(ModelWorkers(0, self._settings.item_deadline_s)))
            case provider:
                from chatai_assets.llm.models import RemoteEmbedder

                return RemoteEmbedder(self._client(provider, wanted.model, wanted.dimensions))

    def complete_reference(self, reference: str) -> str:
        """Return a reference with the model and dimensions that the settings name, where it names none.

        Raises:
            ValueError: it is no reference; the message is one sentence.
        """
        wanted = parse_embedding_model(reference)
        access = self._settings.providers.get(wanted.name)
        if access and not wanted.model:
            wanted = replace(wanted, model=access.embedding_model, dimensions=access.dimensions)
        return str(wanted)

    def forget_answers(self, tenant_id: str) -> None:
        """Drop a tenant's answers from the memory of this process."""
        for client in self._clients.values():
            client.forget(tenant_id)

    @cached_property
    def _workers(self) -> ModelWorkers:
        from chatai_assets.adapters.nlp.process_pool import ModelWorkers

        settings = self._settings
        return self._closing.enter_context(ModelWorkers(settings.model_processes, settings.item_deadline_s))

    @cached_property
    def _loop(self) -> BackgroundLoop:
        from chatai_assets.adapters.models.provider import BackgroundLoop

        return self._closing.enter_context(BackgroundLoop())

    def _client(self, name: str, model: str = "", dimensions: int = 0) -> LLMClient:
        """Return the one client of a provider, or of another embedding model than the settings name.

        Args:
            model: embeds instead of the one that the settings name; so do ``dimensions``.
        """
        key = f"{name}:{model}@{dimensions}" if model else name
        if key not in self._clients:
            self._clients[key] = client = self._open_client(name, self._open_provider(name, model, dimensions))
            self._closing.callback(client.close)
        return self._clients[key]

    def _open_client(self, name: str, provider: Provider) -> LLMClient:
        from chatai_assets.llm.cache import ResponseCache
        from chatai_assets.llm.client import LLMClient
        from chatai_assets.llm.rate_limiter import RateLimiter

        records, settings = self._records(), self._settings
        return LLMClient(
            self._loop,
            provider,
            ResponseCache(records, name),
            RateLimiter(records, name, self._rules(provider)),
            settings.costs.tariff,
            settings.quota.max_wait_s,
            settings.item_deadline_s,
        )

    def _rules(self, provider: Provider) -> RateLimitRules:
        quota = self._settings.quota
        return RateLimitRules(
            calls=limits_of(quota.per_minute, quota.per_hour, quota.per_day),
            tokens=token_limits(quota.tokens_per_minute, quota.tokens_per_day),
            budget=self._settings.costs.budget,
            concurrency=provider.concurrency if provider.is_concurrency_shared else None,
        )

    def _open_provider(self, name: str, model: str, dimensions: int) -> Provider:
        from chatai_assets.adapters.models.registry import open_provider

        access = self._settings.providers.get(name)
        if access is None:
            raise ProviderMisconfigured(f"{name} is to be asked, but {PROVIDERS[name].key_variable} is not set.")
        changes: dict[str, Any] = {"embedding_model": model, "dimensions": dimensions} if model else {}
        return open_provider(name, access.replace(**changes))
