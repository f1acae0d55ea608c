"""Eight classes of bad items among good ones, an outage in between, and everything replayed twice.

``python -m chatai_assets_tests.scenarios.failure_classes --each 200``
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from pypdf import PdfWriter

from chatai_assets.domain.errors import (
    InvalidModelResponse,
    Outage,
    ProviderBusy,
    ProviderRejected,
    ProviderUnreachable,
)
from chatai_assets.domain.extraction import Extraction
from chatai_assets.observability import configure_logging
from chatai_assets.operations.dead_letters import replay
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets.storage.dead_letters import DeadLetterFilter
from chatai_assets_tests.support.pipeline import (
    contents,
    find_inconsistencies,
    free_settings,
    ingest_files,
    ingest_posts,
    message,
    process_all,
    rows,
)

OF_MODELS: dict[str, tuple[str, Any]] = {
    "чепуха": ("tag", InvalidModelResponse("The answer names nothing that stands in the text.")),
    "занято": ("tag", ProviderBusy("HTTP 503")),
    "загадка": ("enrich", Extraction(entities=(None,), relations=())),  # type: ignore[arg-type] # a bug meets it
    "отказ": ("embed", ProviderRejected("HTTP 400")),
}
"""Word in a post -> stage at which it is trouble, and what the model answers."""
EXPECTED = (
    *("AnswerRejected", "ProviderBusy", "UnexpectedFailure", "ProviderRejected"),
    *("corrupt", "encrypted", "empty_file", "unsupported_type"),
)
CONTEXT = (
    *("tenant_id", "queue_name", "job_name", "job_id", "job_data", "source_key", "error_class", "error_message"),
    *("attempts", "first_failed_at", "last_failed_at", "created_at", "input_fingerprint", "code_version"),
)
"""Columns that every letter must fill; posts also have an address, unforeseen failures a stack."""
ATTEMPTS = 5
LATER_S = 7_200


class FailingModel:
    """A model that some posts are trouble to, until it is repaired; while it is down, all calls fail."""

    def __init__(self, model: Any, stage: str) -> None:
        self._asked = model
        self._stage = stage
        self.down = self.mended = False
        self.model = model.model
        self.dimensions = getattr(model, "dimensions", 0)

    def _answer(self, question: Any, ask: Any) -> Any:
        for word, (stage, answer) in OF_MODELS.items():
            if stage == self._stage and word in question.text and not self.mended:
                return answer
        return ask([question])[0]

    def _answers(self, questions: Sequence[Any], ask: Any) -> list[Any]:
        if self.down:
            raise ProviderUnreachable("Nobody answers at the provider.")
        return [self._answer(question, ask) for question in questions]

    def tag(self, questions: Sequence[Any]) -> list[Any]:
        return self._answers(questions, self._asked.tag)

    def extract(self, questions: Sequence[Any]) -> list[Any]:
        return self._answers(questions, self._asked.extract)

    def embed(self, questions: Sequence[Any]) -> list[Any]:
        return self._answers(questions, self._asked.embed)


@dataclass
class Outcome:
    """How it ended.

    Attributes:
        rounds: class -> dead letters, after the first processing and after each replay.
        new_after_replay: letters that were not there before the replays.
        incomplete: letters that lack a part of their context.
        of_outages: letters that were there after an outage and not before.
        twice: points, nodes or ledger entries that do not fit together, and letters of one item, stage and revision.
        open_at_last: letters that are open after the models were repaired and all was replayed.
    """

    rounds: list[Counter[str]] = field(default_factory=list)
    new_after_replay: int = 0
    incomplete: list[str] = field(default_factory=list)
    of_outages: int = 0
    twice: list[str] = field(default_factory=list)
    open_at_last: Counter[str] = field(default_factory=Counter)


def run(folder: Path, each: int, servers: Mapping[str, str] | None = None) -> Outcome:
    """Bring bad and good items in, let an outage pass, process, replay twice, repair the models, and replay again."""
    outcome = Outcome()
    with Services(free_settings(folder / "home", servers)) as services:
        ingest_posts(services, _posts(each))
        ingest_files(services, _documents(folder / "arrived", each))
        models = {name: FailingModel(getattr(services, name), stage) for name, stage in _MODELS.items()}
        services.__dict__.update(models)
        outcome.of_outages = _outage(services, models)
        _settle(services, outcome)
        first = {row["id"] for row in rows(services, schema.worker_dlq)}
        for _ in range(2):
            replay(services.records, DeadLetterFilter())
            replay(services.records, DeadLetterFilter())
            _settle(services, outcome)
        outcome.new_after_replay = len({row["id"] for row in rows(services, schema.worker_dlq)} - first)
        outcome.incomplete = _incomplete(services)
        for model in models.values():
            model.mended = True
        replay(services.records, DeadLetterFilter())
        _process(services)
        outcome.open_at_last = Counter(row["error_class"] for row in _open_dead_letters(services))
        keys = Counter((row["job_name"], row["job_id"]) for row in rows(services, schema.worker_dlq))
        outcome.twice = [str(key) for key, count in keys.items() if count > 1] + find_inconsistencies(
            contents(services)
        )
    return outcome


_MODELS = {"tagger": "tag", "extractor": "enrich", "embedder": "embed"}


def _posts(each: int) -> list[Any]:
    words = [*OF_MODELS, "покой", "покой", "покой", "покой"]
    return [
        message(number + 1, f"Вчера поезд {number} прибыл на Волгу: {words[number % len(words)]}.")
        for number in range(each * len(words))
    ]


def _documents(folder: Path, each: int) -> list[Path]:
    folder.mkdir()
    for number in range(each):
        (folder / f"corrupt-{number}.pdf").write_bytes(f"%PDF-1.4\nnot really {number}\n".encode())
        (folder / f"empty-{number}.txt").write_bytes(b"")
        (folder / f"picture-{number}.pdf").write_bytes(b"GIF89a" + number.to_bytes(4, "big") * 20)
        writer = PdfWriter()
        writer.add_blank_page(100, 100 + number)
        writer.encrypt("secret", algorithm="RC4-128")
        writer.write(folder / f"secret-{number}.pdf")
        (folder / f"good-{number}.txt").write_text(f"Письмо {number} о Волге.", encoding="utf-8")
    return sorted(folder.iterdir())


def _outage(services: Services, models: Mapping[str, FailingModel]) -> int:
    """Let all runs fail while each model is down in turn; return how many letters that made of its stage."""
    process_all(services, stages=["parse"])
    made = 0
    for name, stage in _MODELS.items():
        before = len(rows(services, schema.worker_dlq))
        models[name].down = True
        try:
            process_all(services, stages=[stage])  # type: ignore[list-item] # one of the stages
            raise RuntimeError(f"{stage} did not notice that its model is down")
        except Outage:
            made += len(rows(services, schema.worker_dlq)) - before
        models[name].down = False
    return made


def _process(services: Services) -> None:
    """Run all stages, and again later for what was busy, until its attempts are used up."""
    for attempt in range(ATTEMPTS + 1):
        process_all(services, now=time.time() + attempt * LATER_S)


def _open_dead_letters(services: Services) -> list[dict[str, Any]]:
    return rows(services, schema.worker_dlq, schema.worker_dlq.c.resolved.is_(False))


def _settle(services: Services, outcome: Outcome) -> None:
    _process(services)
    outcome.rounds.append(Counter(row["error_class"] for row in _open_dead_letters(services)))


def _incomplete(services: Services) -> list[str]:
    lacking = []
    for row in rows(services, schema.worker_dlq):
        wanted = [*CONTEXT, *(["url"] if row["queue_name"] == "posts" else [])]
        wanted += ["error_stack"] if row["error_class"] == "UnexpectedFailure" else []
        lacking += [f"{row['job_id']}: {name}" for name in wanted if row[name] in (None, "", {})]
    return lacking


@click.command()
@click.option("--each", default=200, help="Items of each class.")
def main(each: int) -> None:
    """Run the scenario and print its outcome."""
    configure_logging("CRITICAL")
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), each)
    for number, classes in enumerate(outcome.rounds):
        click.echo(f"after {number} replays: {dict(classes)}")
    click.echo(f"new letters by replays: {outcome.new_after_replay}, without full context: {len(outcome.incomplete)}")
    click.echo(f"letters caused by outages: {outcome.of_outages}, duplicates: {len(outcome.twice)}")
    click.echo(f"open after the models were mended and all was replayed: {dict(outcome.open_at_last)}")


if __name__ == "__main__":
    main()
