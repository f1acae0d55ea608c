"""What stages need of the process they run in: stores, models and parsers, each opened when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # these modules load libraries that take seconds
    from chatai_assets.adapters.crawler.base import PageReader
    from chatai_assets.adapters.graph.base import GraphStore
    from chatai_assets.adapters.models.base import Extractor, Tagger
    from chatai_assets.files.blobs import Blobs
    from chatai_assets.pipeline.document_reader import DocumentReader
    from chatai_assets.pipeline.projections.vector_indexes import Indexes
    from chatai_assets.settings import Settings
    from chatai_assets.storage.engine import Records


class StageServices(Protocol):
    """The part of ``services.Services`` that stages may use.

    A stage reads an attribute only if it needs it, so that a store that is down stops only the stages that use it, and
    model workers start only for stages that ask a model.
    """

    @property
    def settings(self) -> Settings:
        """The settings of the process."""
        ...

    @property
    def records(self) -> Records:
        """The record store."""
        ...

    @property
    def blobs(self) -> Blobs:
        """Uploaded bytes."""
        ...

    @property
    def reader(self) -> DocumentReader:
        """Reads uploaded files."""
        ...

    @property
    def pages(self) -> PageReader | None:
        """Reads the pages that posts link to; None where the settings do not ask for it."""
        ...

    @property
    def tagger(self) -> Tagger:
        """Text -> tags."""
        ...

    @property
    def extractor(self) -> Extractor:
        """Chunk -> entities and relations."""
        ...

    @property
    def stems(self) -> Callable[[str], Sequence[str]]:
        """Text -> stemmed words, for sparse vectors."""
        ...

    @property
    def indexes(self) -> Indexes:
        """All vector indexes."""
        ...

    @property
    def graph(self) -> GraphStore:
        """The knowledge graph."""
        ...
