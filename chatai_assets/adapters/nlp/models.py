"""The offline models behind the ports, their batches spread over worker processes."""

from __future__ import annotations

from collections.abc import Sequence

from chatai_assets.adapters.models.base import ModelInput, Vector
from chatai_assets.adapters.nlp.embedder import OfflineEmbedder
from chatai_assets.adapters.nlp.extractor import OfflineExtractor
from chatai_assets.adapters.nlp.process_pool import ModelWorkers
from chatai_assets.adapters.nlp.tagger import OfflineTagger
from chatai_assets.domain.extraction import Extraction


class PooledTagger:
    """``OfflineTagger`` in worker processes."""

    def __init__(self, workers: ModelWorkers) -> None:
        self._workers = workers
        self._tagger = OfflineTagger()

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._tagger.model

    def tag(self, questions: Sequence[ModelInput]) -> Sequence[Sequence[str]]:
        """Return candidate tags per text; raises ``Outage`` when the workers die."""
        return self._workers.map(self._tagger.tag, [question.text for question in questions])


class PooledExtractor:
    """``OfflineExtractor`` in worker processes."""

    def __init__(self, workers: ModelWorkers) -> None:
        self._workers = workers
        self._extractor = OfflineExtractor()

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._extractor.model

    def extract(self, questions: Sequence[ModelInput]) -> Sequence[Extraction]:
        """Return what each chunk says; raises ``Outage`` when the workers die."""
        return self._workers.map(self._extractor.extract, [question.text for question in questions])


class PooledEmbedder:
    """``OfflineEmbedder`` in worker processes."""

    def __init__(self, workers: ModelWorkers) -> None:
        self._workers = workers
        self._embedder = OfflineEmbedder()

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        return self._embedder.dimensions

    def embed(self, questions: Sequence[ModelInput]) -> Sequence[Vector]:
        """Return one unit-length vector per text; raises ``Outage`` when the workers die."""
        return self._workers.map(self._embedder.embed, [question.text for question in questions])
