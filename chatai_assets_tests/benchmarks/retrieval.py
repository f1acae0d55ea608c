"""Recall of hybrid search on XQuAD, with the real embedder and the real embedded index.

``CHATAI_CORPUS=... python -m chatai_assets_tests.benchmarks.retrieval`` prints recall@1/5/10 in percent. XQuAD's
Russian and English passages are translations of each other: *own* counts the passage in the question's language as
right, *crossed* the one in the other language.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from chatai_assets.adapters.models.offline.embedder import OfflineEmbedder
from chatai_assets.adapters.models.offline.stems import stems
from chatai_assets.adapters.models.ports import Vector
from chatai_assets.adapters.vectors.edge import EdgeVectors
from chatai_assets.adapters.vectors.port import Hit, Point, Query, Sparse
from chatai_assets.domain.embedding import query_terms, sparse_terms
from chatai_assets.domain.keys import point_id

LANGUAGES = ("ru", "en")
TENANT = "xquad"
DEPTHS = (1, 5, 10)


@dataclass(frozen=True)
class Question:
    text: str
    passage: int
    dense: Vector


@dataclass(frozen=True)
class Half:
    """XQuAD in one language: the n-th passage of one half is the translation of the other's."""

    language: str
    passages: Sequence[str]
    vectors: Sequence[Vector]
    questions: Sequence[Question]

    def points(self) -> list[Point]:
        return [
            Point(_id(self.language, n), dense, Sparse(*sparse_terms(stems(text))), _payload(self.language, n))
            for n, (text, dense) in enumerate(zip(self.passages, self.vectors, strict=True))
        ]


def read_half(corpus: Path, language: str) -> Half:
    """Read and embed one language of XQuAD's development set."""
    articles = json.loads((corpus / "retrieval" / f"xquad.{language}.dev.json").read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    passages = [paragraph["context"] for paragraph in paragraphs]
    asked = [(qa["question"], n) for n, paragraph in enumerate(paragraphs) for qa in paragraph["qas"]]
    embedder = OfflineEmbedder()
    dense = embedder.embed([text for text, _ in asked])
    questions = [Question(text, n, vector) for (text, n), vector in zip(asked, dense, strict=True)]
    return Half(language, passages, embedder.embed(passages), questions)


def indexed(folder: Path, halves: Sequence[Half]) -> EdgeVectors:
    """Return an index that holds the passages of the halves."""
    embedder = OfflineEmbedder()
    index = EdgeVectors(folder, embedder.dimensions, embedder.model)
    with index.writing() as writer:
        for half in halves:
            writer.upsert(half.points())
    return index


def ranks(index: EdgeVectors, questions: Sequence[Question], language: str) -> list[int]:
    """Return, for each question, the 0-based place of its passage in ``language``, or the last depth."""
    answers = index.search_all([_query(question) for question in questions])
    wanted = [_id(language, question.passage) for question in questions]
    return [_place(hits, key) for hits, key in zip(answers, wanted, strict=True)]


def recall(places: Sequence[int], depth: int) -> float:
    """Return the share of places above ``depth``."""
    return sum(place < depth for place in places) / len(places)


def measure(corpus: Path, folder: Path) -> dict[str, list[int]]:
    """Return the ranks of every case: questions against each language alone, and against both together."""
    halves = [read_half(corpus, language) for language in LANGUAGES]
    collections = {half.language: indexed(folder / half.language, [half]) for half in halves}
    both = indexed(folder / "both", halves)
    cases: dict[str, list[int]] = {}
    for half in halves:
        for language, index in collections.items():
            cases[f"{half.language} questions, {language} passages"] = ranks(index, half.questions, language)
    for half in halves:
        for language in LANGUAGES:
            kind = "own" if language == half.language else "crossed"
            cases[f"{half.language} questions, both languages, {kind}"] = ranks(both, half.questions, language)
    return cases


def main() -> int:
    """Print the table; 2 when there is no corpus."""
    corpus = os.environ.get("CHATAI_CORPUS")
    if not corpus:
        sys.stderr.write("CHATAI_CORPUS must name the folder of the shared corpus\n")
        return 2
    with TemporaryDirectory() as folder:
        cases = measure(Path(corpus), Path(folder))
    sys.stdout.write(f"{'XQuAD, hybrid search':40}" + "".join(f"{f'R@{depth}':>8}" for depth in DEPTHS) + "\n")
    for name, places in cases.items():
        sys.stdout.write(f"{name:40}" + "".join(f"{100 * recall(places, depth):8.1f}" for depth in DEPTHS) + "\n")
    return 0


def _query(question: Question) -> Query:
    sparse = Sparse(*query_terms(stems(question.text)))
    return Query(question.dense, sparse, limit=DEPTHS[-1], filters={"tenant_id": TENANT})


def _place(hits: Sequence[Hit], wanted: str) -> int:
    return next((place for place, hit in enumerate(hits) if hit.id == wanted), DEPTHS[-1])


def _id(language: str, n: int) -> str:
    return str(point_id(TENANT, f"doc/{language}", "body", n))


def _payload(language: str, n: int) -> dict[str, str | int]:
    return {"tenant_id": TENANT, "source": f"doc/{language}", "kind": "document", "language": language, "ordinal": n}


if __name__ == "__main__":
    raise SystemExit(main())
