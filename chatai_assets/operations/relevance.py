"""Comparing what two indexes find, by questions that people wrote or that are drawn from what the home holds.

A drawn question is a run of words of one chunk, and asks for its source. Words find it anyhow, so it is asked twice: as
people ask, by meaning and words, and by meaning alone, where a bad model cannot hide.
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
"""Of a drawn question."""
HITS_PER_PLACE = 4
"""Chunks looked at per place: several may be of one source."""
BATCH_QUERIES = 20
"""Questions that an embedded index is opened for; nobody can write to it meanwhile."""
MODES = ("meaning and words", "meaning alone")


@dataclass(frozen=True, slots=True)
class EvalQuery:
    """A question, and the source key of what answers it."""

    tenant_id: str
    question: str
    source: str


@dataclass(frozen=True, slots=True)
class RelevanceComparison:
    """What two indexes found; holds no text.

    Attributes:
        before: way of asking -> figures of the index that serves.
        after: those of the other.
    """

    questions: int
    before: Mapping[str, Figures]
    after: Mapping[str, Figures]

    @property
    def worse(self) -> list[str]:
        """What the other index does worse, in words; empty if nothing."""
        return regressions(self.before, self.after)


def read_questions(file: Path, tenant_id: str) -> list[EvalQuery]:
    """Return the questions of a JSONL file of ``{"question", "source"}``, some perhaps with ``tenant``.

    Args:
        tenant_id: whose the others are.

    Raises:
        BadRecord: a line is no such question; says which.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    return [_parse_question(number, line, tenant_id) for number, line in enumerate(lines, 1) if line.strip()]


def _parse_question(number: int, line: str, tenant_id: str) -> EvalQuery:
    try:
        told: Any = json.loads(line)
        asked = EvalQuery(told.get("tenant") or tenant_id, told["question"], told["source"])
        if all(isinstance(each, str) and each for each in (asked.tenant_id, asked.question, asked.source)):
            return asked
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise BadRecord(f'Line {number} of the questions is not like {{"question": "...", "source": "tg/1/2"}}.')


def sample_queries(records: Records, seed: int, count: int = SAMPLE_SIZE) -> list[EvalQuery]:
    """Return questions drawn from chunks of items that are indexed, always the same ones of the same home."""
    dice = Random(seed)  # noqa: S311 - chance, not secrecy
    with records.reading() as connection:
        chunks = reindexing.sample_chunks(connection, [f"{dice.getrandbits(32):08x}" for _ in range(count)])
    return [EvalQuery(tenant_id, _random_phrase(dice, text), source) for tenant_id, source, text in chunks]


def _random_phrase(dice: Random, text: str) -> str:
    words = text.split()
    start = dice.randint(0, max(0, len(words) - QUERY_WORDS))
    return " ".join(words[start : start + QUERY_WORDS])


def compare(
    asked: Sequence[EvalQuery], serving: OpenIndex, other: OpenIndex, stems: Stems, on_progress: Callable[[str], None]
) -> RelevanceComparison:
    """Ask both indexes all questions, in both ways.

    Raises:
        ChatAIError: a question cannot be embedded, or an index not be searched.
    """
    on_progress(f"Asking both indexes {len(asked)} questions")
    return RelevanceComparison(len(asked), _measure(asked, serving, stems), _measure(asked, other, stems))


def _measure(asked: Sequence[EvalQuery], index: OpenIndex, stems: Stems) -> dict[str, Figures]:
    places: dict[str, list[int | None]] = {way: [] for way in MODES}
    for start in range(0, len(asked), BATCH_QUERIES):
        some = asked[start : start + BATCH_QUERIES]
        dense = meanings(index, [(each.tenant_id, each.question) for each in some])
        for way in MODES:
            hits = index.vectors.search_all([*map(partial(_build_query, way, stems), some, dense)])
            for each, ranking in zip(some, hits, strict=True):
                places[way].append(find_rank(each.source, [hit.payload["source"] for hit in ranking]))
    return {way: compute_figures(found) for way, found in places.items()}


def _build_query(way: str, stems: Stems, asked: EvalQuery, dense: Vector) -> Query:
    words = Sparse(*query_terms(stems(asked.question))) if way == MODES[0] else Sparse((), ())
    return Query(dense, words, TOP_K * HITS_PER_PLACE, {"tenant_id": asked.tenant_id})
