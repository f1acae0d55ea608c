"""A text that kills whoever works on it: it is given up, and its neighbours are finished.

``python -m chatai_assets_tests.scenarios.poison_items --posts 200 --stage tag``
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chatai_assets.domain.stages import Stage
from chatai_assets.observability import configure_logging
from chatai_assets.pipeline.engine import reclaim_dead_leases
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support.pipeline import (
    contents,
    due_hours,
    find_inconsistencies,
    free_settings,
    ingest_posts,
    message,
    process_all,
    rows,
)

POISON = "яд"
MODELS: dict[str, str] = {"tag": "tagger", "enrich": "extractor", "embed": "embedder"}
MAX_DEATHS = 30
WORKER_S = 300


class KillingModel:
    """A model that kills its process on one text."""

    def __init__(self, model: Any) -> None:
        self._asked = model
        self.model = model.model
        self.dimensions = getattr(model, "dimensions", 0)

    def _ask(self, ask: Any, questions: Sequence[Any]) -> Any:
        if any(POISON in question.text for question in questions):
            os.kill(os.getpid(), signal.SIGKILL)
        return ask(questions)

    def tag(self, questions: Sequence[Any]) -> Any:
        return self._ask(self._asked.tag, questions)

    def extract(self, questions: Sequence[Any]) -> Any:
        return self._ask(self._asked.extract, questions)

    def embed(self, questions: Sequence[Any]) -> Any:
        return self._ask(self._asked.embed, questions)


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        deaths: processes that were killed.
        letters: (source key, stage, error class) of the dead letters.
        states: state -> posts at the deadly stage.
        loose_ends: what does not fit together in the stores.
    """

    deaths: int
    letters: list[tuple[str, str, str]]
    states: Counter[str]
    loose_ends: list[str]


def run(folder: Path, posts: int, stage: Stage = "tag", servers: Mapping[str, str] | None = None) -> Outcome:
    """Let processes work until one ends by itself."""
    servers = servers or {}
    home = folder / "home"
    words = ["слово" if number != posts // 2 else POISON for number in range(posts)]
    with Services(free_settings(home, servers)) as services:
        ingest_posts(
            services, [message(number + 1, f"Пост {number}, одно {word} о Волге.") for number, word in enumerate(words)]
        )
    chosen = [part for name, value in servers.items() for part in ("--server", name, value)]
    command = [sys.executable, "-m", __name__, "--worker", str(home), "--stage", stage, *chosen]
    deaths = 0
    while (code := subprocess.run(command, check=False, timeout=WORKER_S).returncode) != 0:
        deaths += 1
        if code != -signal.SIGKILL or deaths > MAX_DEATHS:
            raise RuntimeError(f"after {deaths} deaths a worker ended with {code}")
    with Services(free_settings(home, servers)) as services:
        letters = [
            (row["source_key"], row["job_name"], row["error_class"]) for row in rows(services, schema.worker_dlq)
        ]
        seen = rows(services, schema.work, schema.work.c.stage == stage)
        return Outcome(deaths, letters, Counter(row["state"] for row in seen), find_inconsistencies(contents(services)))


def work(home: Path, stage: str, servers: Mapping[str, str]) -> None:
    """Do all that is due with a deadly model."""
    with Services(free_settings(home, servers)) as services:
        name = MODELS[stage]
        services.__dict__[name] = KillingModel(getattr(services, name))
        reclaim_dead_leases(services.records)
        while due_hours(services, "posts"):
            process_all(services)


@click.command()
@click.option("--posts", default=200)
@click.option("--stage", type=click.Choice([*MODELS]), default="tag")
@click.option("--worker", type=click.Path(path_type=Path), help="Work on this home, and perhaps die.")
@click.option("--server", "servers", type=(str, str), multiple=True, help="A variable that selects a server.")
def main(posts: int, stage: Stage, worker: Path | None, servers: tuple[tuple[str, str], ...]) -> None:
    """Run the scenario and print its outcome."""
    configure_logging("ERROR")
    if worker:
        work(worker, stage, dict(servers))
        return
    with tempfile.TemporaryDirectory() as folder:
        click.echo(run(Path(folder), posts, stage, dict(servers)))


if __name__ == "__main__":
    main()
