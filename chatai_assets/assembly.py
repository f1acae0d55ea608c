"""Which parts the settings ask for, opened on first use and closed together.

The one place that knows every implementation; stages receive only the parts they use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from chatai_assets.adapters.blobs import Blobs
from chatai_assets.adapters.records.checkpoints import keep_checkpoint
from chatai_assets.adapters.records.store import Records, open_records
from chatai_assets.adapters.records.turns import turn
from chatai_assets.domain.errors import ProviderMisconfigured
from chatai_assets.domain.keys import hour_of
from chatai_assets.domain.quotas import Rules, limits_of, token_limits
from chatai_assets.settings import Settings

if TYPE_CHECKING:  # these modules load libraries that take seconds; whoever does not use a part does not wait for it
    from chatai_assets.adapters.announcements import Announcer
    from chatai_assets.adapters.graph.port import GraphStore
    from chatai_assets.adapters.models.desk import Desk
    from chatai_assets.adapters.models.offline.workers import ModelWorkers
    from chatai_assets.adapters.models.ports import Embedder, Extractor, Tagger
    from chatai_assets.adapters.models.provider import BackgroundLoop, Provider
    from chatai_assets.adapters.parsers.sandbox import ParserPool
    from chatai_assets.adapters.parsers.scans import DocumentReader
    from chatai_assets.adapters.vectors.port import VectorStore
    from chatai_assets.adapters.web.reading import PageReader
    from chatai_assets.stages.audit import Audited
    from chatai_assets.stages.losses import Projected

FIRST_HOUR = "first_hour"


class Parts:
    """Stores, models and parsers of one process; a context manager that closes what was opened.

    Args:
        settings: which implementations to use.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opened = ExitStack()
        self._desks: dict[str, Desk] = {}

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
    def announcer(self) -> Announcer:
        """Tells people what they must know."""
        from chatai_assets.adapters.announcements import Announcements

        return Announcements(self.settings.announce, self.settings.sentry_dsn)

    @cached_property
    def blobs(self) -> Blobs:
        """Uploaded bytes."""
        return Blobs(self.settings.home / "blobs")

    @cached_property
    def parser(self) -> ParserPool:
        """Child processes that read files; they start on the first file."""
        from chatai_assets.adapters.parsers.limits import ParserLimits
        from chatai_assets.adapters.parsers.sandbox import ParserPool

        wanted = self.settings.parser
        limits = ParserLimits(
            memory_bytes=wanted.memory_bytes, wall_s=wanted.wall_s, max_file_bytes=wanted.max_file_bytes
        )
        return self._opened.enter_context(ParserPool(wanted.workers, limits))

    @cached_property
    def reader(self) -> DocumentReader:
        """Reads uploaded files, scans among them."""
        from chatai_assets.adapters.parsers.limits import OcrLimits
        from chatai_assets.adapters.parsers.scans import DocumentReader

        wanted = self.settings.ocr
        limits = OcrLimits(wanted.max_pages, wanted.page_s, wanted.patience_s) if wanted else None
        return DocumentReader(self.parser, self.records, limits)

    @cached_property
    def pages(self) -> PageReader | None:
        """Reads the pages that posts link to; None where that is not wanted."""
        if not self.settings.crawl:
            return None
        from chatai_assets.adapters.web.reading import WebPages

        return self._opened.enter_context(WebPages(self.parser))

    @cached_property
    def _workers(self) -> ModelWorkers:
        from chatai_assets.adapters.models.offline.workers import ModelWorkers

        return self._opened.enter_context(ModelWorkers(self.settings.model_processes, self.settings.item_deadline_s))

    @cached_property
    def _loop(self) -> BackgroundLoop:
        from chatai_assets.adapters.models.provider import BackgroundLoop

        return self._opened.enter_context(BackgroundLoop())

    def _desk(self, name: str) -> Desk:
        """The way to a provider; one for all that is asked of it."""
        if name not in self._desks:
            from chatai_assets.adapters.models.desk import Desk
            from chatai_assets.adapters.models.kept import KeptAnswers
            from chatai_assets.adapters.models.turnstile import Turnstile

            turnstile = Turnstile(self.records, name, self._rules(provider := self._provider(name)))
            kept, given = KeptAnswers(self.records, name), self.settings
            desk = Desk(
                self._loop,
                provider,
                kept,
                turnstile,
                given.costs.tariff,
                given.quota.patience_s,
                given.item_deadline_s,
            )
            self._opened.callback(desk.close)
            self._desks[name] = desk
        return self._desks[name]

    def _rules(self, provider: Provider) -> Rules:
        allowed = self.settings.quota
        return Rules(
            calls=limits_of(allowed.per_minute, allowed.per_hour, allowed.per_day),
            tokens=token_limits(allowed.tokens_per_minute, allowed.tokens_per_day),
            budget=self.settings.costs.budget,
            streams=provider.streams if provider.together else None,
        )

    def _provider(self, name: str) -> Provider:
        from chatai_assets.adapters.models.gigachat import GigaChat
        from chatai_assets.adapters.models.openrouter import OpenRouter

        if name == "gigachat" and self.settings.gigachat:
            return GigaChat(self.settings.gigachat)
        if name == "openrouter" and self.settings.openrouter:
            return OpenRouter(self.settings.openrouter)
        raise ProviderMisconfigured(f"{name} is to be asked, but {name.upper()}_API_KEY is not set.")

    @cached_property
    def tagger(self) -> Tagger:
        """Text -> tags."""
        match self.settings.models.tagger:
            case "free":
                from chatai_assets.adapters.models.free import FirstWordsTagger

                return FirstWordsTagger()
            case "offline":
                from chatai_assets.adapters.models.offline.pooled import PooledTagger

                return PooledTagger(self._workers)
            case provider:
                from chatai_assets.adapters.models.asked import AskedTagger

                return AskedTagger(self._desk(provider))

    @cached_property
    def extractor(self) -> Extractor:
        """Chunk -> entities and relations."""
        match self.settings.models.extractor:
            case "free":
                from chatai_assets.adapters.models.free import CapitalisedExtractor

                return CapitalisedExtractor()
            case "offline":
                from chatai_assets.adapters.models.offline.pooled import PooledExtractor

                return PooledExtractor(self._workers)
            case provider:
                from chatai_assets.adapters.models.asked import AskedExtractor

                return AskedExtractor(self._desk(provider))

    @cached_property
    def embedder(self) -> Embedder:
        """Text -> dense vector, many texts at once."""
        if self.settings.models.embedder != "offline":
            return self.query_embedder
        from chatai_assets.adapters.models.offline.pooled import PooledEmbedder

        return PooledEmbedder(self._workers)

    @cached_property
    def query_embedder(self) -> Embedder:
        """Text -> dense vector in this process: for one question, starting workers would take longer."""
        match self.settings.models.embedder:
            case "free":
                from chatai_assets.adapters.models.free import HashedEmbedder

                return HashedEmbedder()
            case "offline":
                from chatai_assets.adapters.models.offline.pooled import PooledEmbedder
                from chatai_assets.adapters.models.offline.workers import ModelWorkers

                return PooledEmbedder(self._opened.enter_context(ModelWorkers(0)))
            case provider:
                from chatai_assets.adapters.models.asked import AskedEmbedder

                return AskedEmbedder(self._desk(provider))

    @cached_property
    def stems(self) -> Callable[[str], Sequence[str]]:
        """Text -> stemmed words, for sparse vectors."""
        from chatai_assets.adapters.models.offline.stems import stems

        return stems

    @cached_property
    def vectors(self) -> VectorStore:
        """The vector index."""
        embedder, server = self.query_embedder, self.settings.qdrant
        if server:
            from chatai_assets.adapters.vectors.server import QdrantVectors

            vectors = QdrantVectors(
                server.url,
                embedder.dimensions,
                embedder.model,
                partial(turn, self.records, "vectors"),
                api_key=server.api_key,
                grpc_port=server.grpc_port,
            )
            self._opened.callback(vectors.close)
            return vectors
        from chatai_assets.adapters.vectors.edge import EdgeVectors

        return EdgeVectors(self.settings.home / "vectors", embedder.dimensions, embedder.model)

    @cached_property
    def graph(self) -> GraphStore:
        """The knowledge graph."""
        server = self.settings.neo4j
        if server:
            from chatai_assets.adapters.graph.neo4j import Neo4jGraph

            graph = Neo4jGraph(server.uri, (server.user, server.password), partial(turn, self.records, "graph"))
            self._opened.callback(graph.close)
            return graph
        from chatai_assets.adapters.graph.ladybug import LadybugGraph

        return LadybugGraph(self.settings.home / "graph")

    @property
    def audited(self) -> Sequence[Audited]:
        """Vector index and graph, to be compared with the record store."""
        from chatai_assets.stages.audit import audited_graph, audited_vectors

        return audited_vectors(self.records, self.vectors, self.embedder.model), audited_graph(self.graph)

    @cached_property
    def projections(self) -> Sequence[Projected]:
        """Vector index and graph, to be looked at for loss; embedded ones are not opened for that."""
        from chatai_assets.adapters.graph.ladybug_mark import mark_of_graph
        from chatai_assets.adapters.vectors.edge_alias import mark_of_index
        from chatai_assets.stages.losses import Projected, held_parts, held_points

        home = self.settings.home
        of_vectors = self.vectors.mark if self.settings.qdrant else partial(mark_of_index, home / "vectors")
        of_graph = self.graph.mark if self.settings.neo4j else partial(mark_of_graph, home / "graph")
        return (
            Projected("vectors", of_vectors, lambda: held_points(self.vectors)),
            Projected("graph", of_graph, lambda: held_parts(self.graph)),
        )


def open_parts(settings: Settings) -> Parts:
    """Return the parts that the settings ask for; nothing is opened yet."""
    return Parts(settings)


def first_hour(parts: Parts) -> str:
    """Return the first partition: the setting's, or the hour in which this home was created."""
    if parts.settings.first_hour:
        return parts.settings.first_hour
    with parts.records.begin() as connection:
        return str(keep_checkpoint(connection, FIRST_HOUR, hour_of(time.time())))
