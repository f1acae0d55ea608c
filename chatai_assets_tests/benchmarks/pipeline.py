"""How fast the whole pipeline is: ``chatai ingest`` and ``chatai process`` over the corpus, as a user runs them.

Prints medians over several fresh homes: wall time with and without process start, CPU, peak memory of
the process and of its largest child, and whether record store, index and graph agree.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from chatai_assets.domain.graph.changes import EDGE_TYPES
from chatai_assets.orchestration.instance import home_instance
from chatai_assets.settings import read_settings

CHATAI = Path(sys.executable).parent / "chatai"
SAMPLE_EVERY_S = 1.0  # reading shared memory stops the process for a while
TO_INDEX = ("parse", "embed", "index")
WITHOUT_GRAPH = ("parse", "tag", "enrich", "embed", "index")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one command took.

    Attributes:
        cpu_s: of it and its children.
        peak_bytes: resident, of the process alone.
        child_peak_bytes: resident, of its largest child.
        all_peak_bytes: of the process and all its children at one time, what they share counted once.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    child_peak_bytes: int
    all_peak_bytes: int
    answer: Any


@dataclass(frozen=True, slots=True)
class Pass:
    """One fresh home filled once, and asked to do it all again."""

    start_s: float
    ingest: Usage
    process: Usage
    again: Usage
    stages: dict[str, float]
    status: dict[str, Any]
    expected: dict[str, int]

    @property
    def items(self) -> int:
        """Posts and documents that are searchable."""
        return int(self.status["posts"]["searchable"] + self.status["documents"]["searchable"])

    @property
    def total_s(self) -> float:
        """Wall seconds of both commands, process starts included."""
        return self.ingest.wall_s + self.process.wall_s


def run(arguments: list[str], environment: dict[str, str]) -> Usage:
    """Run one ``chatai`` command and measure it."""
    started = time.monotonic()
    with (
        subprocess.Popen(
            [str(CHATAI), *arguments, "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as command,
        _peaks(command.pid) as peaks,
    ):
        assert command.stdout is not None
        output = command.stdout.read()
        _, code, used = os.wait4(command.pid, 0)
        command.returncode = os.waitstatus_to_exitcode(code)
    wall = time.monotonic() - started
    if command.returncode:
        raise SystemExit(f"chatai {arguments[0]} ended with {command.returncode}")
    return Usage(wall, used.ru_utime + used.ru_stime, peaks[0], peaks[1], peaks[2], json.loads(output))


@contextmanager
def _peaks(pid: int) -> Iterator[list[int]]:
    """Sample the memory of a process and its descendants until the block ends; the order is that of ``Usage``."""
    peaks, over = [0, 0, 0], threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_EVERY_S):
            try:
                process = psutil.Process(pid)
                used = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
            except psutil.Error:
                continue  # one ended between two looks
            now = [used[0].rss, max([child.rss for child in used[1:]], default=0), sum(one.pss for one in used)]
            peaks[:] = map(max, peaks, now)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def measure(paths: list[Path], models: str) -> Pass:
    """Fill a fresh home from paths and measure each step."""
    with tempfile.TemporaryDirectory(prefix="chatai-bench-") as home:
        environment = {**os.environ, "CHATAI_HOME": home, "CHATAI_MODELS": models}
        run(["status"], environment)
        with home_instance(read_settings(environment)):  # the home is made now, so that each start is a usual one
            start = run(["dead-letters", "list"], environment)
        ingest = run(["ingest", *map(str, paths)], environment)
        process = run(["process"], environment)
        again = run(["process"], environment)
        stages = _stage_seconds(Path(home) / "records.sqlite")
        expected = _expected(Path(home) / "records.sqlite")
        status = run(["status"], environment).answer
    return Pass(start.wall_s, ingest, process, again, stages, status, expected)


def _expected(file: Path) -> dict[str, int]:
    """Return what the record store says that the index and the graph hold."""
    with sqlite3.connect(file) as connection:
        (points,) = connection.execute("SELECT COUNT(*) FROM chunks").fetchone()
        ledgers = connection.execute("SELECT confirmed FROM index_ledger WHERE projection = 'graph'").fetchall()
    services = {part for (confirmed,) in ledgers for part in json.loads(confirmed)}
    edges = sum(part.partition(" ")[0] in EDGE_TYPES for part in services)
    return {"points": points, "nodes": len(services) - edges, "relationships": edges}


def _stage_seconds(file: Path) -> dict[str, float]:
    with sqlite3.connect(file) as connection:
        rows = connection.execute("SELECT stage, SUM(seconds) FROM stage_stats GROUP BY stage").fetchall()
    return dict(rows)


def report(name: str, passes: list[Pass]) -> Table:
    """Return the table of one corpus part."""

    def median(figure: Callable[[Pass], float]) -> float:
        return statistics.median([figure(one) for one in passes])

    items, last = passes[-1].items, passes[-1]
    table = Table("figure", "median", title=f"{name}: {items} items searchable, {len(passes)} runs")
    rows = {
        "items/s, ingest + process, process starts included": items / median(lambda one: one.total_s),
        "process start, s": median(lambda one: one.start_s),
        "ingest, s": median(lambda one: one.ingest.wall_s),
        "process, s": median(lambda one: one.process.wall_s),
        "items/s, parsed to indexed (parse, embed, index)": items / median(lambda one: _sum(one, TO_INDEX)),
        "items/s, all stages but the graph": items / median(lambda one: _sum(one, WITHOUT_GRAPH)),
        "CPU s, ingest + process": median(lambda one: one.ingest.cpu_s + one.process.cpu_s),
        "peak MB of the process": median(lambda one: one.process.peak_bytes) / 2**20,
        "peak MB of its largest child": median(lambda one: one.process.child_peak_bytes) / 2**20,
        "peak MB of all processes together": median(lambda one: one.process.all_peak_bytes) / 2**20,
        "the same again, s": median(lambda one: one.again.wall_s),
    }
    for label, value in rows.items():
        table.add_row(label, f"{value:,.1f}")
    table.add_row("stage seconds", ", ".join(f"{stage} {s:.1f}" for stage, s in sorted(last.stages.items())))
    table.add_row("counts", json.dumps(last.status, ensure_ascii=False))
    held = last.status["vectors"] | last.status["graph"]
    table.add_row("record store, index and graph agree", "yes" if held == last.expected else f"NO: {last.expected}")
    table.add_row("dead letters", str(last.status["dead_letters"]["open"]))
    return table


def _sum(one: Pass, stages: tuple[str, ...]) -> float:
    return sum(one.stages.get(stage, 0.0) for stage in stages)


def main(arguments: list[str] | None = None) -> None:
    """Measure posts and documents apart, each in fresh homes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", choices=("free", "offline"), default="free")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--corpus", type=Path, default=os.environ.get("CHATAI_CORPUS"))
    parser.add_argument("--part", choices=("posts", "documents"), action="append")
    options = parser.parse_args(arguments)
    if options.corpus is None:
        raise SystemExit("Set CHATAI_CORPUS to a folder with posts/ and documents/.")
    console = Console(width=120)
    for part in options.part or ["posts", "documents"]:
        passes = [measure([options.corpus / part], options.models) for _ in range(options.runs)]
        console.print(report(f"{part}, {options.models} models", passes))


if __name__ == "__main__":
    main()
