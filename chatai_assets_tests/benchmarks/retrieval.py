"""Recall of hybrid search on XQuAD, the passages ingested and processed as posts, as a user would.

XQuAD's Russian and English passages are translations of each other: *own* counts the passage in the
question's language as right, *crossed* the one in the other language.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from chatai_assets.adapters.models.base import Vector
from chatai_assets.adapters.nlp.embedder import OfflineEmbedder
from chatai_assets.adapters.nlp.stemmer import stems
from chatai_assets.adapters.vectors.base import Hit, Query, Sparse
from chatai_assets.adapters.vectors.edge import EdgeVectors
from chatai_assets.domain.ids import DEFAULT_TENANT, post_key
from chatai_assets.domain.search.sparse import query_terms

CHATAI = Path(sys.executable).parent / "chatai"
CHATS = {"ru": -1009000000001, "en": -1009000000002}
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
    questions: Sequence[Question]

    def posts(self) -> list[dict[str, Any]]:
        """Return the passages as a channel's posts."""
        chat = {"sender_id": CHATS[self.language], "channel": f"XQuAD {self.language}", "category": "passages"}
        return [
            {"message_id": n + 1, "text": passage, "date": "2026-11-21T00:00:00+00:00", **chat}
            for n, passage in enumerate(self.passages)
        ]


def read_half(corpus: Path, language: str) -> Half:
    """Read one language of XQuAD's development set and embed its questions."""
    articles = json.loads((corpus / "retrieval" / f"xquad.{language}.dev.json").read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    asked = [(qa["question"], n) for n, paragraph in enumerate(paragraphs) for qa in paragraph["qas"]]
    dense = OfflineEmbedder().embed([text for text, _ in asked])
    questions = [Question(text, n, vector) for (text, n), vector in zip(asked, dense, strict=True)]
    return Half(language, [paragraph["context"] for paragraph in paragraphs], questions)


def build_index(home: Path, halves: Sequence[Half]) -> EdgeVectors:
    """Return the index of a home into which the passages of the halves were ingested and processed."""
    export = home.with_suffix(".json")
    export.write_text(json.dumps([post for half in halves for post in half.posts()]), encoding="utf-8")
    environment = {**os.environ, "CHATAI_HOME": str(home), "CHATAI_MODELS": "offline"}
    for arguments in (["ingest", str(export)], ["process"]):
        subprocess.run([str(CHATAI), *arguments], env=environment, check=True, capture_output=True)
    embedder = OfflineEmbedder()
    return EdgeVectors(home / "vectors", embedder.dimensions, embedder.model)


def ranks(index: EdgeVectors, questions: Sequence[Question], language: str) -> list[int]:
    """Return, for each question, the 0-based place of its passage in ``language``, or the last depth."""
    answers = index.search_all([_query(question) for question in questions])
    wanted = [post_key(CHATS[language], question.passage + 1) for question in questions]
    return [_place(hits, key) for hits, key in zip(answers, wanted, strict=True)]


def recall(places: Sequence[int], depth: int) -> float:
    """Return the share of places above ``depth``."""
    return sum(place < depth for place in places) / len(places)


def measure(corpus: Path, folder: Path) -> dict[str, list[int]]:
    """Return the ranks of every case: questions against each language alone, and against both together."""
    halves = [read_half(corpus, language) for language in CHATS]
    alone = {half.language: build_index(folder / half.language, [half]) for half in halves}
    both = build_index(folder / "both", halves)
    cases: dict[str, list[int]] = {}
    for half in halves:
        for language, index in alone.items():
            cases[f"{half.language} questions, {language} passages"] = ranks(index, half.questions, language)
    for half in halves:
        for language in CHATS:
            kind = "own" if language == half.language else "crossed"
            cases[f"{half.language} questions, both languages, {kind}"] = ranks(both, half.questions, language)
    return cases


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=os.environ.get("CHATAI_CORPUS"))
    corpus = parser.parse_args(arguments).corpus
    if corpus is None:
        raise SystemExit("Set CHATAI_CORPUS to a folder with retrieval/.")
    with TemporaryDirectory(prefix="chatai-bench-") as folder:
        cases = measure(corpus, Path(folder))
    table = Table("case", *(f"R@{depth}" for depth in DEPTHS), title="XQuAD, hybrid search, percent")
    for name, places in cases.items():
        table.add_row(name, *(f"{100 * recall(places, depth):.1f}" for depth in DEPTHS))
    Console(width=100).print(table)


def _query(question: Question) -> Query:
    sparse = Sparse(*query_terms(stems(question.text)))
    return Query(question.dense, sparse, limit=DEPTHS[-1], filters={"tenant_id": DEFAULT_TENANT})


def _place(hits: Sequence[Hit], wanted: str) -> int:
    return next((place for place, hit in enumerate(hits) if hit.payload["source"] == wanted), DEPTHS[-1])


if __name__ == "__main__":
    main()
