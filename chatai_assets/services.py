"""The stores, models and parsers of one process, as its settings ask for them: opened on first use, closed together.

Each package opens its own implementations; this module knows all of them and hands each stage those that it uses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from chatai_assets.adapters.graph import registry as graphs
from chatai_assets.adapters.vectors import registry as vector_stores
from chatai_assets.adapters.vectors.collection import Collection, newest_layout
from chatai_assets.domain.ids import hour_of
from chatai_assets.files.blobs import Blobs
from chatai_assets.files.locks import WriterLock
from chatai_assets.llm.registry import ModelRegistry
from chatai_assets.settings import Settings
from chatai_assets.storage.engine import Records, open_records
from chatai_assets.storage.key_values import put_value_if_absent
from chatai_assets.storage.vector_indexes import Index, add_index
from chatai_assets.storage.writer_lock import writer_lock

if TYPE_CHECKING:  # these modules load libraries that take seconds; a process that does not use them must not wait
    from chatai_assets.adapters.crawler.base import PageReader
    from chatai_assets.adapters.graph.base import GraphStore
    from chatai_assets.adapters.models.base import Embedder, Extractor, Tagger
    from chatai_assets.adapters.notifier import Notifier
    from chatai_assets.adapters.sandbox.pool import ParserPool
    from chatai_assets.adapters.vectors.base import VectorStore
    from chatai_assets.operations.audit.audit import AuditTarget
    from chatai_assets.pipeline.document_reader import DocumentReader
    from chatai_assets.pipeline.projections.recovery import ProjectionProbe
    from chatai_assets.pipeline.projections.vector_indexes import Indexes, OpenIndex

FIRST_HOUR = "first_hour"


class Services:
    """Stores, models and parsers of one process; a context manager that closes what was opened.

    Args:
        settings: which implementations to use.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._closing = ExitStack()
        self.models = ModelRegistry(settings, lambda: self.records, self._closing)
        self._open_indexes: dict[int, OpenIndex] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close everything that was opened."""
        self._closing.close()

    @cached_property
    def records(self) -> Records:
        """The record store, migrated."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        records = open_records(self.settings.database_url)
        self._closing.callback(records.close)
        return records

    @cached_property
    def announcer(self) -> Notifier:
        """Notifies people of outages and dead letters."""
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

        given = self.settings.parser
        limits = ParserLimits(memory_bytes=given.memory_bytes, wall_s=given.wall_s, max_file_bytes=given.max_file_bytes)
        return self._closing.enter_context(ParserPool(given.workers, limits))

    @cached_property
    def reader(self) -> DocumentReader:
        """Reads uploaded files, scans among them."""
        from chatai_assets.adapters.parsers.limits import OcrLimits
        from chatai_assets.pipeline.document_reader import DocumentReader

        given = self.settings.ocr
        limits = OcrLimits(given.max_pages, given.page_s, given.max_wait_s) if given else None
        return DocumentReader(self.parser, self.records, limits)

    @cached_property
    def pages(self) -> PageReader | None:
        """Reads the pages that posts link to; None where that is not wanted."""
        if not self.settings.crawl:
            return None
        from chatai_assets.adapters.crawler.browser.limits import BrowserLimits
        from chatai_assets.adapters.crawler.crawler import Crawler

        browser = BrowserLimits() if self.settings.browser else None
        return self._closing.enter_context(Crawler(self.parser, browser=browser))

    @cached_property
    def tagger(self) -> Tagger:
        """Text -> tags."""
        return self.models.open_tagger(self.settings.models.tagger)

    @cached_property
    def extractor(self) -> Extractor:
        """Chunk -> entities and relations."""
        return self.models.open_extractor(self.settings.models.extractor)

    @cached_property
    def embedder(self) -> Embedder:
        """Text -> dense vector, many texts at once, for the index that served when it was first asked for."""
        return self.models.open_embedder(self._served_first.embedder)

    @cached_property
    def query_embedder(self) -> Embedder:
        """Text -> dense vector in this process: for one question, starting workers would take longer."""
        return self.models.open_query_embedder(self._served_first.embedder)

    def resolve_embedder(self, reference: str) -> tuple[str, Embedder]:
        """Return a reference to an embedding model, completed from the settings, and that embedder.

        Raises:
            ValueError: it is no reference; the message is one sentence.
            ProviderMisconfigured: there is no key for its provider.
        """
        complete = self.models.complete_reference(reference)
        return complete, self.models.open_query_embedder(complete)

    def forget_answers(self, tenant_id: str) -> None:
        """Drop the answers about a tenant's texts from the memory of this process."""
        self.models.forget_answers(tenant_id)

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
        return self._open_vectors(self._served_first)

    @cached_property
    def _served_first(self) -> Index:
        return self.indexes.serving_now()

    def _first_index(self) -> Index:
        """Record the index of a home that has none, for the embedding model of the settings."""
        name, embedder = self.resolve_embedder(self.settings.models.embedder)
        made_for = name, embedder.model, embedder.dimensions
        with self.records.begin() as connection:
            return add_index(connection, *made_for, "serving", layout=newest_layout(), now=time.time())

    def _open_index(self, about: Index) -> OpenIndex:
        from chatai_assets.pipeline.projections.vector_indexes import OpenIndex

        if about.number == self._served_first.number:
            return OpenIndex(about, self.vectors, (lambda: self.embedder, lambda: self.query_embedder))
        known = self._open_indexes.get(about.number)
        if known is None:
            openers = (self.models.open_embedder, self.models.open_query_embedder)
            bulk, query = (cache(partial(opener, about.embedder)) for opener in openers)
            known = OpenIndex(about, self._open_vectors(about), (bulk, query))
            self._open_indexes[about.number] = known
        return replace(known, about=about)

    def _open_vectors(self, about: Index) -> VectorStore:
        settings, made_for = self.settings, Collection(about.model, about.dimensions, about.layout)
        vectors = vector_stores.open_vectors(settings.home, settings.qdrant, about.number, made_for, self._lock)
        self._closing.callback(vectors.close)
        return vectors

    def _lock(self, name: str) -> WriterLock:
        return partial(writer_lock, self.records, name)

    @cached_property
    def graph(self) -> GraphStore:
        """The knowledge graph."""
        graph = graphs.open_graph(self.settings.home, self.settings.neo4j, self._lock)
        self._closing.callback(graph.close)
        return graph

    @property
    def audited(self) -> Sequence[AuditTarget]:
        """The vector index that serves and the graph, to be compared with the record store."""
        from chatai_assets.operations.audit.audit import graph_target, vectors_target

        return vectors_target(self.records, self.indexes.serving()), graph_target(self.graph)

    @property
    def projections(self) -> Sequence[ProjectionProbe]:
        """Vector indexes and graph, to be looked at for loss; embedded ones are not opened for that."""
        from chatai_assets.pipeline.projections.recovery import ProjectionProbe, held_parts

        home, neo4j = self.settings.home, self.settings.neo4j
        generation = graphs.generation_reader(home, neo4j, lambda: self.graph)
        vectors = (self._probe_vectors(about) for about in self.indexes.known())
        return (*vectors, ProjectionProbe("graph", generation, lambda: held_parts(self.graph)))

    def _probe_vectors(self, about: Index) -> ProjectionProbe:
        from chatai_assets.pipeline.projections.recovery import ProjectionProbe, held_points

        def opened() -> VectorStore:
            return self._open_index(about).vectors

        home, qdrant = self.settings.home, self.settings.qdrant
        generation = vector_stores.generation_reader(home, qdrant, about.number, opened)
        return ProjectionProbe(about.projection, generation, lambda: held_points(opened()))


def open_services(settings: Settings) -> Services:
    """Return the services that the settings ask for; nothing is opened yet."""
    return Services(settings)


def first_hour(services: Services) -> str:
    """Return the first partition: the setting's, or the hour in which this home was created."""
    if services.settings.first_hour:
        return services.settings.first_hour
    with services.records.begin() as connection:
        return str(put_value_if_absent(connection, FIRST_HOUR, hour_of(time.time())))
