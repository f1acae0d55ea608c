"""A process that works on everything due in a home, prints its stage to stdout, and can be killed at a chosen point.

``python -m chatai_assets_tests.support.crash_injection HOME [--die-at POINT] [--calls FILE] ...``
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.adapters.vectors.base import Point
from chatai_assets.domain.graph.changes import GraphChange
from chatai_assets.domain.ids import STREAMS
from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.observability import configure_logging
from chatai_assets.services import Services
from chatai_assets_tests.support.pipeline import Limits, due_hours, free_settings, run, stage_run_config

CRASH_POINTS = (
    "vectors intended",
    "vectors written",
    "vectors closed",
    "graph intended",
    "graph written",
    "graph closed",
)
"""Where a worker can be killed: before a write, after it, and after the store was closed, before confirmation."""
ANYWHERE = "anywhere"
"""Matches every point."""


class CrashPlan:
    """Kills this process when it reaches a point for the n-th time.

    Attributes:
        stage: the current stage; part of the names of its commits.
    """

    def __init__(self, point: str | None, occurrence: int = 1) -> None:
        self.point = point
        self.left = occurrence
        self.stage = ""

    def reach(self, point: str) -> None:
        if self.point in (point, ANYWHERE):
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class CrashPointRecorder(CrashPlan):
    """Kills nothing and records which points are reached."""

    def __init__(self) -> None:
        super().__init__(None)
        self.points: set[str] = set()

    def reach(self, point: str) -> None:
        self.points.add(point)


class CrashingRecords:
    """A record store whose commits can kill the process, right before or right after.

    A commit is named after the stage and the function that opened its transaction.
    """

    def __init__(self, records: Any, crash_plan: CrashPlan) -> None:
        self.records = records
        self.crash_plan = crash_plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self.records, name)

    def begin(self) -> AbstractContextManager[Any]:
        return self._transaction(sys._getframe(1).f_code.co_name.strip("_"))  # noqa: SLF001 - the only source of the caller's name

    @contextmanager
    def _transaction(self, opened_by: str) -> Iterator[Any]:
        place = f"{self.crash_plan.stage} {opened_by}"
        with self.records.begin() as connection:
            yield connection
            self.crash_plan.reach(f"{place}, before its commit")
        self.crash_plan.reach(f"{place}, after its commit")


class CrashingStore:
    """A vector index or graph whose writes can be delayed, or kill the process."""

    def __init__(self, store: Any, name: str, crash_plan: CrashPlan, delay_s: float = 0.0) -> None:
        self.store = store
        self.name = name
        self.crash_plan = crash_plan
        self.delay_s = delay_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    @contextmanager
    def writing(self) -> Iterator[CrashingWriter]:
        with self.store.writing() as writer:
            yield CrashingWriter(writer, self)
        self.crash_plan.reach(f"{self.name} closed")


class CrashingWriter:
    """The writer of a ``CrashingStore``."""

    def __init__(self, writer: Any, store: CrashingStore) -> None:
        self.writer = writer
        self.store = store

    def _write(self, write: Any, what: Any) -> None:
        self.store.crash_plan.reach(f"{self.store.name} intended")
        time.sleep(self.store.delay_s)
        write(what)
        self.store.crash_plan.reach(f"{self.store.name} written")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.writer, name)

    def upsert(self, points: Sequence[Point]) -> None:
        self._write(self.writer.upsert, points)

    def delete(self, ids: Sequence[str]) -> None:
        self._write(self.writer.delete, ids)

    def apply(self, change: GraphChange) -> None:
        self._write(self.writer.apply, change)


class CallLoggingModel:
    """A free model that logs its inputs to a file, one line per text."""

    def __init__(self, model: Any, name: str, file: Path) -> None:
        self._asked = model
        self._name = name
        self._file = file
        self.model = model.model
        self.dimensions = getattr(model, "dimensions", 0)

    def embed(self, questions: Sequence[ModelInput]) -> Any:
        self._note(questions)
        return self._asked.embed(questions)

    def tag(self, questions: Sequence[ModelInput]) -> Any:
        self._note(questions)
        return self._asked.tag(questions)

    def extract(self, questions: Sequence[ModelInput]) -> Any:
        self._note(questions)
        return self._asked.extract(questions)

    def _note(self, questions: Sequence[ModelInput]) -> None:
        lines = "".join(f"{call_line(self._name, text)}\n" for _, text, _ in questions)
        with self._file.open("a", encoding="ascii") as file:
            file.write(lines)


def call_line(name: str, text: str) -> str:
    """Return the log line for one text that a model received."""
    return f"{name} {sha256(text.encode()).hexdigest()[:16]}"


def log_model_calls(services: Services, file: Path) -> None:
    """Log the calls of the tagger and the embedder to a file."""
    services.__dict__["tagger"] = CallLoggingModel(services.tagger, "tag", file)
    services.__dict__["embedder"] = CallLoggingModel(services.embedder, "embed", file)


def inject_crashes(services: Services, crash_plan: CrashPlan, delay_s: float = 0.0) -> None:
    """Make the stores of a process able to kill it."""
    services.__dict__["vectors"] = CrashingStore(services.vectors, "vectors", crash_plan, delay_s)
    services.__dict__["graph"] = CrashingStore(services.graph, "graph", crash_plan, delay_s)


def worker_command(home: Path, servers: Mapping[str, str], *options: str) -> list[str]:
    """Return the command that runs this module on a home."""
    chosen = [part for name, value in servers.items() for part in ("--server", name, value)]
    return [sys.executable, "-m", __name__, str(home), *chosen, *options]


@click.command()
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--die-at", type=click.Choice(CRASH_POINTS))
@click.option("--occurrence", default=1, help="At which arrival at that point to die.")
@click.option("--delay", default=0.0, help="Seconds to sleep between the recorded intent and the write.")
@click.option("--server", "servers", type=(str, str), multiple=True, help="A variable that selects a server.")
@click.option("--calls", type=click.Path(path_type=Path), help="File for what the models are asked.")
@click.option("--run-items", default=400)
@click.option("--batch-items", default=100)
@click.option("--projection-items", default=150)
def main(
    home: Path,
    die_at: str | None,
    occurrence: int,
    delay: float,
    servers: tuple[tuple[str, str], ...],
    calls: Path | None,
    run_items: int,
    batch_items: int,
    projection_items: int,
) -> None:
    """Run stage by stage until nothing is due."""
    configure_logging("ERROR")
    limits = Limits(run_items, batch_items, projection_items)
    with Services(free_settings(home, dict(servers))) as services:
        inject_crashes(services, CrashPlan(die_at, occurrence), delay)
        if calls:
            log_model_calls(services, calls)
        while _round(services, limits):
            pass


def _round(services: Services, limits: Limits) -> bool:
    due = [(stream, hour) for stream in STREAMS for hour in due_hours(services, stream)]
    for stream, hour in due:
        for stage in ITEM_STAGES:
            click.echo(f"{stream} {stage}")
            sys.stdout.flush()
            run(stage, stage_run_config(stream, hour, limits), services)
    return bool(due)


if __name__ == "__main__":
    main()
