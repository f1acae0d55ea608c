"""Compares the relevance of two vector indexes by questions, written by people or sampled from the indexed chunks.

A sampled question is a phrase of one chunk, and its answer is the chunk's source. Word matching alone finds it, so each
question is searched twice: as people search, by meaning and words, and by meaning alone, which shows a bad model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from chatai_assets.adapters.models.base import Vector
from chatai_assets.adapters.vectors.base import Query, Sparse
from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.search.relevance import TOP_K, Figures, compute_figures, find_rank, regressions
from chatai_assets.domain.search.sparse import query_terms
from chatai_assets.pipeline.projections.vector_indexes import OpenIndex
from chatai_assets.pipeline.search import meanings
from chatai_assets.pipeline.stages.embed import Stems
from chatai_assets.storage import reindexing
from chatai_assets.storage.engine import Records

SAMPLE_SIZE = 100
QUERY_WORDS = 9
"""Words of a sampled question."""
HITS_PER_RANK = 4
"""Chunks requested per rank, since several may be of one source."""
BATCH_QUERIES = 20
"""Questions per search of an embedded index, which is locked for writers meanwhile."""
MODES = ("meaning and words", "meaning alone")


@dataclass(frozen=True, slots=True)
class EvalQuery:
    """A question, and the source key of its answer."""

    tenant_id: str
    question: str
    source: str


@dataclass(frozen=True, slots=True)
class RelevanceComparison:
    """Figures of two indexes; contains no text.

    Attributes:
        before: search mode -> figures of the active index.
        after: search mode -> figures of the other index.
    """

    questions: int
    before: Mapping[str, Figures]
    after: Mapping[str, Figures]

    @property
    def worse(self) -> list[str]:
        """What the other index does worse, in words; empty if nothing."""
        return regressions(self.before, self.after)


def read_questions(file: Path, tenant_id: str) -> list[EvalQuery]:
    """Return the questions of a JSONL file with ``{"question", "source"}`` and optionally ``tenant`` on each line.

    Args:
        tenant_id: tenant of questions without one.

    Raises:
        BadRecord: a line is not such a question; the message has its number.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    return [_parse_question(number, line, tenant_id) for number, line in enumerate(lines, 1) if line.strip()]


def _parse_question(number: int, line: str, tenant_id: str) -> EvalQuery:
    try:
        fields: Any = json.loads(line)
        query = EvalQuery(fields.get("tenant") or tenant_id, fields["question"], fields["source"])
        if all(isinstance(each, str) and each for each in (query.tenant_id, query.question, query.source)):
            return query
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise BadRecord(f'Line {number} of the questions is not like {{"question": "...", "source": "tg/1/2"}}.')


def sample_queries(records: Records, seed: int, count: int = SAMPLE_SIZE) -> list[EvalQuery]:
    """Return questions sampled from indexed chunks; the same seed and home give the same questions."""
    random = Random(seed)  # noqa: S311 - chance, not secrecy
    with records.reading() as connection:
        chunks = reindexing.sample_chunks(connection, [f"{random.getrandbits(32):08x}" for _ in range(count)])
    return [EvalQuery(tenant_id, _random_phrase(random, text), source) for tenant_id, source, text in chunks]


def _random_phrase(random: Random, text: str) -> str:
    words = text.split()
    start = random.randint(0, max(0, len(words) - QUERY_WORDS))
    return " ".join(words[start : start + QUERY_WORDS])


def compare(
    queries: Sequence[EvalQuery], active: OpenIndex, other: OpenIndex, stems: Stems, on_progress: Callable[[str], None]
) -> RelevanceComparison:
    """Search both indexes for all questions, in both modes.

    Raises:
        ChatAIError: a question cannot be embedded, or an index cannot be searched.
    """
    on_progress(f"Asking both indexes {len(queries)} questions")
    return RelevanceComparison(len(queries), _measure(queries, active, stems), _measure(queries, other, stems))


def _measure(queries: Sequence[EvalQuery], index: OpenIndex, stems: Stems) -> dict[str, Figures]:
    ranks: dict[str, list[int | None]] = {mode: [] for mode in MODES}
    for start in range(0, len(queries), BATCH_QUERIES):
        some = queries[start : start + BATCH_QUERIES]
        dense = meanings(index, [(each.tenant_id, each.question) for each in some])
        for mode in MODES:
            hits = index.vectors.search_all([*map(partial(_build_query, mode, stems), some, dense)])
            for each, ranking in zip(some, hits, strict=True):
                ranks[mode].append(find_rank(each.source, [hit.payload["source"] for hit in ranking]))
    return {mode: compute_figures(found) for mode, found in ranks.items()}


def _build_query(mode: str, stems: Stems, query: EvalQuery, dense: Vector) -> Query:
    words = Sparse(*query_terms(stems(query.question))) if mode == MODES[0] else Sparse((), ())
    return Query(dense, words, TOP_K * HITS_PER_RANK, {"tenant_id": query.tenant_id})
