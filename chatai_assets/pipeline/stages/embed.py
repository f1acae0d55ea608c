"""Chunks -> dense and sparse vectors; a text embedded once is never embedded again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from chatai_assets.adapters.models.base import CostLabel, ModelInput, Vector, pop_usage_of
from chatai_assets.domain.embedding_model import parse_embedding_model
from chatai_assets.domain.errors import ChatAIError, Outage
from chatai_assets.domain.failure_policy import is_outage, next_attempt
from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.search.sparse import sparse_terms
from chatai_assets.domain.stages import STAGES
from chatai_assets.domain.text.chunking import BODY
from chatai_assets.pipeline.engine import BatchResult, StageReport, StageRunConfig, run_batches
from chatai_assets.pipeline.item_errors import answers_to, attempt, fail_documents, note_failure
from chatai_assets.pipeline.projections.vector_indexes import OpenIndex, check_model
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.storage import embeddings
from chatai_assets.storage import items as content
from chatai_assets.storage.embeddings import UnembeddedText, VectorRow
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.items import TextKey

SPEC = STAGES["embed"]

Stems = Callable[[str], Sequence[str]]
"""Text -> its stemmed words."""


def run(config: StageRunConfig, services: StageServices) -> StageReport:
    """Embed the chunks of what is due for which the active index has no vector yet."""
    handler = EmbedHandler(config, services.records, services.indexes.serving, services.stems)
    return run_batches(config, services.records, handler)


class EmbedHandler:
    """Handler of the stage ``embed``.

    Args:
        index: returns the index to embed for; called for each batch, since another index may become active.
    """

    spec = SPEC

    def __init__(self, config: StageRunConfig, records: Records, index: Callable[[], OpenIndex], stems: Stems) -> None:
        self.stream: Stream = config.stream
        self.cost_label = CostLabel(config.stream, config.hour)
        self.max_attempts = config.max_attempts
        self.records = records
        self.stems = stems
        self._find_index = index
        self._take(index())

    def _take(self, index: OpenIndex) -> None:
        self.embedder = index.embedder
        check_model(index, self.embedder)
        self.fingerprint = SPEC.fingerprint(index.model)
        self.provider = parse_embedding_model(index.about.embedder).name

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        """Say of documents why nothing finds them."""
        if self.stream == "documents":
            fail_documents(connection, failures)

    def process_batch(self, owner: str) -> BatchResult:
        """Embed what a claim lacks."""
        self._take(self._find_index())
        with self.records.reading() as connection:
            rows = content.claimed_work(connection, owner)
            keys = [ItemKey.of(row) for row in rows]
            attempts = {key: row["attempts"] + 1 for key, row in zip(keys, rows, strict=True)}
            missing = embeddings.unembedded(connection, owner, self.embedder.model)
        questions = list(dict.fromkeys(map(self._question, missing)))
        answers = dict(zip(questions, self._answers(questions), strict=True))
        result = BatchResult(write=lambda _connection, _keys: None, requeue={"index": keys})
        vectors = self._vectors(missing, answers, attempts, result)
        self._complete(result, keys, vectors, {ItemKey.of(row) for row in missing})
        return result

    def _answers(self, questions: Sequence[ModelInput]) -> Sequence[Vector | Exception]:
        try:
            return answers_to(self.embedder.embed, questions)
        except Outage as error:
            # The index says which provider embeds; the caller that opens the breaker knows the settings only.
            error.part = error.part or self.provider
            raise

    def _vectors(
        self,
        missing: Sequence[UnembeddedText],
        answers: Mapping[ModelInput, Vector | Exception],
        attempts: Mapping[ItemKey, int],
        result: BatchResult,
    ) -> dict[TextKey, VectorRow]:
        """Return (tenant, text hash) -> vector row of what was answered, and note what was not."""
        vectors: dict[TextKey, VectorRow] = {}
        for row in missing:
            answer, key = answers[self._question(row)], ItemKey.of(row)
            if isinstance(answer, Exception) and self._may_leave_out(row["part"], answer, attempts[key]):
                result.counts["page_chunks_left_out"] += 1
            elif isinstance(answer, Exception):
                note_failure(answer, key, result)
            elif (text := TextKey(row["tenant_id"], row["text_hash"])) not in vectors:
                vector = attempt(partial(self._row, row, answer), key, result)
                if vector:
                    vectors[text] = vector
        return vectors

    def _question(self, row: UnembeddedText) -> ModelInput:
        return ModelInput(row["tenant_id"], row["text"], self.cost_label)

    def _row(self, row: UnembeddedText, dense: Vector) -> VectorRow:
        indices, values = sparse_terms(self.stems(row["text"]))
        return {
            "tenant_id": row["tenant_id"],
            "model": self.embedder.model,
            "text_hash": row["text_hash"],
            "dense": np.asarray(dense, "<f4").tobytes(),
            "sparse_indices": np.asarray(indices, "<u4").tobytes(),
            "sparse_values": np.asarray(values, "<f4").tobytes(),
        }

    def _complete(
        self,
        result: BatchResult,
        keys: Sequence[ItemKey],
        vectors: dict[TextKey, VectorRow],
        worked: set[ItemKey],
    ) -> None:
        def write(connection: Transaction, _held: set[ItemKey]) -> None:
            # Vectors belong to texts, not to items: what was paid for is stored even if the item was taken away.
            embeddings.store_vectors(connection, list(vectors.values()))

        result.write = write
        result.unchanged = len(keys) - len(worked)
        result.counts.update(texts_embedded=len(vectors))
        result.counts.update(pop_usage_of(self.embedder))
        result.preview = [{"source": key.source_key, "embedded": key in worked} for key in keys[:10]]

    def _may_leave_out(self, part: str, error: Exception, attempts: int) -> bool:
        """Return whether an item does without a text: that of a linked page must not keep its post from being found.

        Args:
            attempts: how often the item was tried, this time included.
        """
        if part == BODY or is_outage(error):
            return False
        return next_attempt(error, attempts, self.max_attempts) is None
