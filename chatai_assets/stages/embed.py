"""Chunks -> dense and sparse vectors; a text embedded once is never embedded again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection

from chatai_assets.adapters.models.ports import Embedder, Question, Vector, figures_of
from chatai_assets.adapters.records import content, embeddings
from chatai_assets.adapters.records.store import Records
from chatai_assets.adapters.records.work import Key
from chatai_assets.domain.embedding import sparse_terms
from chatai_assets.domain.keys import Stage, Stream, fingerprint
from chatai_assets.stages.batches import BatchResult, Scope, StageReport, run_stage
from chatai_assets.stages.documents import fail_documents
from chatai_assets.stages.isolation import answers_to, attempt, note_failure

CODE_VERSION = "1"

Stems = Callable[[str], Sequence[str]]
"""Text -> its stemmed words."""


def embed_hour(scope: Scope, *, records: Records, embedder: Embedder, stems: Stems) -> StageReport:
    """Embed the chunks of what is due for which no vector is kept yet."""
    return run_stage(scope, records, _Embedding(scope.stream, records, embedder, stems))


class _Embedding:
    stage: Stage = "embed"
    withdraws: Sequence[Stage] = ("index",)

    def __init__(self, stream: Stream, records: Records, embedder: Embedder, stems: Stems) -> None:
        self.stream = stream
        self.records = records
        self.embedder = embedder
        self.stems = stems
        self.fingerprint = fingerprint("embed", embedder.model, CODE_VERSION)

    def compute(self, owner: str) -> BatchResult:
        with self.records.reading() as connection:
            keys = [(row["tenant_id"], row["source_key"]) for row in content.claimed_work(connection, owner)]
            missing = embeddings.unembedded(connection, owner, self.embedder.model)
        questions = list(dict.fromkeys(Question(row["tenant_id"], row["text"]) for row in missing))
        answers = dict(zip(questions, answers_to(self.embedder.embed, questions), strict=True))
        result = BatchResult(write=lambda _connection, _keys: None, follow=("index",), reopen={"index": keys})
        if self.stream == "documents":
            result.write_failed = fail_documents
        kept: dict[tuple[str, str], dict[str, Any]] = {}
        for row in missing:
            answer, key = answers[Question(row["tenant_id"], row["text"])], (row["tenant_id"], row["source_key"])
            if isinstance(answer, Exception):
                note_failure(answer, key, result)
            elif (row["tenant_id"], row["text_hash"]) not in kept:
                vector = attempt(partial(self._row, row, answer), key, result)
                if vector:
                    kept[row["tenant_id"], row["text_hash"]] = vector
        self._complete(result, keys, kept, {(row["tenant_id"], row["source_key"]) for row in missing})
        return result

    def _row(self, row: Any, dense: Vector) -> dict[str, Any]:
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
        self, result: BatchResult, keys: Sequence[Key], kept: dict[tuple[str, str], dict[str, Any]], worked: set[Key]
    ) -> None:
        def write(connection: Connection, _held: set[Key]) -> None:
            # Vectors belong to texts, not to items: what was paid for is kept even if the item was taken away.
            embeddings.keep_vectors(connection, list(kept.values()))

        result.write = write
        result.unchanged = len(keys) - len(worked)
        result.counts = Counter(texts_embedded=len(kept))
        result.counts.update(figures_of(self.embedder))
        result.preview = [{"source": key[1], "embedded": key in worked} for key in keys[:10]]
