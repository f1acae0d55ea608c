"""Which parts the settings ask for, opened on first use and closed together.

The one place that knows every implementation; stages receive only the parts they use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from chatai_assets.domain.embedding_model import parse_embedding_model
from chatai_assets.domain.errors import ProviderMisconfigured
from chatai_assets.domain.ids import hour_of
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.domain.rate_limits import RateLimitRules, limits_of, token_limits
from chatai_assets.files.blobs import Blobs
from chatai_assets.settings import Settings
from chatai_assets.storage.engine import Records, open_records
from chatai_assets.storage.key_values import put_value_if_absent
from chatai_assets.storage.writer_lock import writer_lock

if TYPE_CHECKING:  # these modules load libraries that take seconds; whoever does not use a part does not wait for it
    from chatai_assets.adapters.crawler.base import PageReader
    from chatai_assets.adapters.graph.base import GraphStore
    from chatai_assets.adapters.models.base import Embedder, Extractor, Tagger
    from chatai_assets.adapters.models.provider import BackgroundLoop, Provider
    from chatai_assets.adapters.nlp.process_pool import ModelWorkers
    from chatai_assets.adapters.notifier import Notifier
    from chatai_assets.adapters.sandbox.pool import ParserPool
    from chatai_assets.adapters.vectors.base import VectorStore
    from chatai_assets.llm.client import LLMClient
    from chatai_assets.operations.audit.audit import AuditTarget
    from chatai_assets.pipeline.document_reader import DocumentReader
    from chatai_assets.pipeline.projections.recovery import ProjectionProbe
    from chatai_assets.pipeline.projections.vector_indexes import Indexes, OpenIndex
    from chatai_assets.storage.vector_indexes import Index

FIRST_HOUR = "first_hour"


class Services:
    """Stores, models and parsers of one process; a context manager that closes what was opened.

    Args:
        settings: which implementations to use.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opened = ExitStack()
        self._desks: dict[str, LLMClient] = {}
        self._others: dict[int, tuple[VectorStore, tuple[Callable[[], Embedder], Callable[[], Embedder]]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every part that was opened."""
        self._opened.close()

    def forget_answers(self, tenant_id: str) -> None:
        """Forget a tenant's answers in the memory of this process."""
        for desk in self._desks.values():
            desk.forget(tenant_id)

    @cached_property
    def records(self) -> Records:
        """The record store, migrated."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        records = open_records(self.settings.database_url)
        self._opened.callback(records.close)
        return records

    @cached_property
    def announcer(self) -> Notifier:
        """Tells people what they must know."""
        from chatai_assets.adapters.notifier import AppriseNotifier

        return AppriseNotifier(self.settings.announce, self.settings.sentry_dsn)

    @cached_property
    def blobs(self) -> Blobs:
        """Uploaded bytes."""
        return Blobs(self.settings.home / "blobs")

    @cached_property
    def parser(self) -> ParserPool:
        """Child processes that read files; they start on the first file."""
        from chatai_assets.adapters.parsers.limits import ParserLimits
        from chatai_assets.adapters.sandbox.pool import ParserPool

        wanted = self.settings.parser
        limits = ParserLimits(
            memory_bytes=wanted.memory_bytes, wall_s=wanted.wall_s, max_file_bytes=wanted.max_file_bytes
        )
        return self._opened.enter_context(ParserPool(wanted.workers, limits))

    @cached_property
    def reader(self) -> DocumentReader:
        """Reads uploaded files, scans among them."""
        from chatai_assets.adapters.parsers.limits import OcrLimits
        from chatai_assets.pipeline.document_reader import DocumentReader

        wanted = self.settings.ocr
        limits = OcrLimits(wanted.max_pages, wanted.page_s, wanted.max_wait_s) if wanted else None
        return DocumentReader(self.parser, self.records, limits)

    @cached_property
    def pages(self) -> PageReader | None:
        """Reads the pages that posts link to; None where that is not wanted."""
        if not self.settings.crawl:
            return None
        from chatai_assets.adapters.crawler.browser.limits import BrowserLimits
        from chatai_assets.adapters.crawler.crawler import Crawler

        browser = BrowserLimits() if self.settings.browser else None
        return self._opened.enter_context(Crawler(self.parser, browser=browser))

    @cached_property
    def _workers(self) -> ModelWorkers:
        from chatai_assets.adapters.nlp.process_pool import ModelWorkers

        return self._opened.enter_context(ModelWorkers(self.settings.model_processes, self.settings.item_deadline_s))

    @cached_property
    def _loop(self) -> BackgroundLoop:
        from chatai_assets.adapters.models.provider import BackgroundLoop

        return self._opened.enter_context(BackgroundLoop())

    def _desk(self, name: str, model: str = "", dimensions: int = 0) -> LLMClient:
        """The way to a provider; one for all that is asked of it, besides those to other embedding models of it.

        Args:
            model: embeds instead of the one that the settings name; so do ``dimensions``.
        """
        kept_under = f"{name}:{model}@{dimensions}" if model else name
        if kept_under not in self._desks:
            from chatai_assets.llm.cache import ResponseCache
            from chatai_assets.llm.client import LLMClient
            from chatai_assets.llm.rate_limiter import RateLimiter

            provider = self._provider(name, model, dimensions)
            turnstile = RateLimiter(self.records, name, self._rules(provider))
            kept, given = ResponseCache(self.records, name), self.settings
            desk = LLMClient(
                self._loop,
                provider,
                kept,
                turnstile,
                given.costs.tariff,
                given.quota.max_wait_s,
                given.item_deadline_s,
            )
            self._opened.callback(desk.close)
            self._desks[kept_under] = desk
        return self._desks[kept_under]

    def _rules(self, provider: Provider) -> RateLimitRules:
        allowed = self.settings.quota
        return RateLimitRules(
            calls=limits_of(allowed.per_minute, allowed.per_hour, allowed.per_day),
            tokens=token_limits(allowed.tokens_per_minute, allowed.tokens_per_day),
            budget=self.settings.costs.budget,
            streams=provider.concurrency if provider.is_concurrency_shared else None,
        )

    def _provider(self, name: str, model: str, dimensions: int) -> Provider:
        from chatai_assets.adapters.models.registry import open_provider

        access = self.settings.providers.get(name)
        if access is None:
            raise ProviderMisconfigured(f"{name} is to be asked, but {PROVIDERS[name].key_variable} is not set.")
        changes: dict[str, Any] = {"embedding_model": model, "dimensions": dimensions} if model else {}
        return open_provider(name, access.replace(**changes))

    @cached_property
    def tagger(self) -> Tagger:
        """Text -> tags."""
        match self.settings.models.tagger:
            case "free":
                from chatai_assets.adapters.models.fake import FirstWordsTagger

                return FirstWordsTagger()
            case "offline":
                from chatai_assets.adapters.nlp.models import PooledTagger

                return PooledTagger(self._workers)
            case provider:
                from chatai_assets.llm.models import LLMTagger

                return LLMTagger(self._desk(provider))

    @cached_property
    def extractor(self) -> Extractor:
        """Chunk -> entities and relations."""
        match self.settings.models.extractor:
            case "free":
                from chatai_assets.adapters.models.fake import CapitalisedExtractor

                return CapitalisedExtractor()
            case "offline":
                from chatai_assets.adapters.nlp.models import PooledExtractor

                return PooledExtractor(self._workers)
            case provider:
                from chatai_assets.llm.models import LLMExtractor

                return LLMExtractor(self._desk(provider))

    @cached_property
    def embedder(self) -> Embedder:
        """Text -> dense vector, many texts at once, for the index that served when it was first asked for."""
        return self._embedder(self._served_first.embedder)

    @cached_property
    def query_embedder(self) -> Embedder:
        """Text -> dense vector in this process: for one question, starting workers would take longer."""
        return self._query_embedder(self._served_first.embedder)

    def _embedder(self, name: str) -> Embedder:
        if name != "offline":
            return self._query_embedder(name)
        from chatai_assets.adapters.nlp.models import PooledEmbedder

        return PooledEmbedder(self._workers)

    def _query_embedder(self, name: str) -> Embedder:
        """Return whoever embeds; made anew unless a provider is asked."""
        wanted = parse_embedding_model(name)
        match wanted.name:
            case "free":
                from chatai_assets.adapters.models.fake import HashedEmbedder

                return HashedEmbedder(wanted.dimensions)
            case "offline":
                from chatai_assets.adapters.nlp.models import PooledEmbedder
                from chatai_assets.adapters.nlp.process_pool import ModelWorkers

                return PooledEmbedder(self._opened.enter_context(ModelWorkers(0, self.settings.item_deadline_s)))
            case provider:
                from chatai_assets.llm.models import RemoteEmbedder

                return RemoteEmbedder(self._desk(provider, wanted.model, wanted.dimensions))

    def resolve_embedder(self, name: str) -> tuple[str, Embedder]:
        """Return who embeds, with all that the settings say of it, and that embedder.

        Raises:
            ValueError: the name is none, in one sentence.
            ProviderMisconfigured: there is no key for it.
        """
        wanted, given = parse_embedding_model(name), self.settings
        access = given.providers.get(wanted.name)
        if access and not wanted.model:
            wanted = replace(wanted, model=access.embedding_model, dimensions=access.dimensions)
        return str(wanted), self._query_embedder(str(wanted))

    @cached_property
    def stems(self) -> Callable[[str], Sequence[str]]:
        """Text -> stemmed words, for sparse vectors."""
        from chatai_assets.adapters.nlp.stemmer import stems

        return stems

    @cached_property
    def indexes(self) -> Indexes:
        """All vector indexes, and which of them serves."""
        from chatai_assets.pipeline.projections.vector_indexes import Indexes

        return Indexes(self.records, self._first_index, self._open_index)

    @cached_property
    def vectors(self) -> VectorStore:
        """The vector index that served when it was first asked for."""
        return self._store(self._served_first)

    @cached_property
    def _served_first(self) -> Index:
        return self.indexes.serving_now()

    def _first_index(self) -> Index:
        """Let the settings say who embeds, in a home of which nothing is known."""
        from chatai_assets.adapters.vectors.collection import newest_layout
        from chatai_assets.storage.vector_indexes import add_index

        name, embedder = self.resolve_embedder(self.settings.models.embedder)
        with self.records.begin() as connection:
            return add_index(
                connection,
                name,
                embedder.model,
                embedder.dimensions,
                "serving",
                layout=newest_layout(),
                now=time.time(),
            )

    def _open_index(self, about: Index) -> OpenIndex:
        from chatai_assets.pipeline.projections.vector_indexes import OpenIndex

        if about.number == self._served_first.number:
            return OpenIndex(about, self.vectors, (lambda: self.embedder, lambda: self.query_embedder))
        if about.number not in self._others:
            embedders = (partial(self._embedder, about.embedder), partial(self._query_embedder, about.embedder))
            self._others[about.number] = self._store(about), (cache(embedders[0]), cache(embedders[1]))
        return OpenIndex(about, *self._others[about.number])

    def _store(self, about: Index) -> VectorStore:
        server, number = self.settings.qdrant, about.number
        if server:
            from chatai_assets.adapters.vectors.qdrant import QdrantVectors

            vectors = QdrantVectors(
                server.url,
                about.dimensions,
                about.model,
                partial(writer_lock, self.records, self._folder(number)),
                api_key=server.api_key,
                grpc_port=server.grpc_port,
                number=number,
                layout=about.layout,
            )
            self._opened.callback(vectors.close)
            return vectors
        from chatai_assets.adapters.vectors.edge import EdgeVectors

        return EdgeVectors(
            self.settings.home / self._folder(number), about.dimensions, about.model, layout=about.layout
        )

    @staticmethod
    def _folder(number: int) -> str:
        """Return the name of an index's folder, or of the turn at it."""
        return "vectors" if number == 1 else f"vectors-{number}"

    @cached_property
    def graph(self) -> GraphStore:
        """The knowledge graph."""
        server = self.settings.neo4j
        if server:
            from chatai_assets.adapters.graph.neo4j import Neo4jGraph

            graph = Neo4jGraph(server.uri, (server.user, server.password), partial(writer_lock, self.records, "graph"))
            self._opened.callback(graph.close)
            return graph
        from chatai_assets.adapters.graph.ladybug import LadybugGraph

        return LadybugGraph(self.settings.home / "graph")

    @property
    def audited(self) -> Sequence[AuditTarget]:
        """The vector index that serves and the graph, to be compared with the record store."""
        from chatai_assets.operations.audit.audit import graph_target, vectors_target

        return vectors_target(self.records, self.indexes.serving()), graph_target(self.graph)

    @property
    def projections(self) -> Sequence[ProjectionProbe]:
        """Vector indexes and graph, to be looked at for loss; embedded ones are not opened for that."""
        from chatai_assets.adapters.graph.ladybug_generation import generation_of_graph
        from chatai_assets.pipeline.projections.recovery import ProjectionProbe, held_parts

        of_graph = (
            self.graph.generation if self.settings.neo4j else partial(generation_of_graph, self.settings.home / "graph")
        )
        vectors = (self._projected(about) for about in self.indexes.known())
        return (*vectors, ProjectionProbe("graph", of_graph, lambda: held_parts(self.graph)))

    def _projected(self, about: Index) -> ProjectionProbe:
        from chatai_assets.adapters.vectors.edge_alias import generation_of_index
        from chatai_assets.pipeline.projections.recovery import ProjectionProbe, held_points

        def opened() -> VectorStore:
            return self._open_index(about).vectors

        of_folder = partial(generation_of_index, self.settings.home / self._folder(about.number))
        mark = opened().generation if self.settings.qdrant else of_folder
        return ProjectionProbe(about.projection, mark, lambda: held_points(opened()))


def open_services(settings: Settings) -> Services:
    """Return the parts that the settings ask for; nothing is opened yet."""
    return Services(settings)


def first_hour(services: Services) -> str:
    """Return the first partition: the setting's, or the hour in which this home was created."""
    if services.settings.first_hour:
        return services.settings.first_hour
    with services.records.begin() as connection:
        return str(put_value_if_absent(connection, FIRST_HOUR, hour_of(time.time())))
