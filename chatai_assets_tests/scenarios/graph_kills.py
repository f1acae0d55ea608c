"""kill -9 at the embedded graph alone, also while it commits and tidies its log; nothing confirmed may be lost.

``python -m chatai_assets_tests.scenarios.graph_kills --kills 300 --seed 1``
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import click
from structlog.testing import capture_logs

from chatai_assets.adapters.graph.ladybug import LadybugGraph
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.observability import LOG_CUT
from chatai_assets_tests.support import graph_writes as writing

KILL_WITHIN_S = {"opening": 0.15, "applying": 0.6, "applied": 0.2, "closed": 0.02}
"""What a writer says it does next, or has done -> seconds within which it is killed."""
GROWING_FILES = {"committing": "wal", "closing": "shadow"}
"""What a writer is seen to do while it applies or closes -> ending of the file that grows then."""
PHASES = (*KILL_WITHIN_S, *GROWING_FILES)
MOMENT_S = 0.003
"""A commit writes its log, and a checkpoint its shadow, in about this time."""
WATCH_S = 2.0
ENDLESS = ("--versions", "1000000")


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        deaths: phase -> kills in it.
        torn: kills after which the log broke off in the middle of a change that was never confirmed.
        losses: where something confirmed was missing, or the graph could not be read.
    """

    deaths: Counter[str] = field(default_factory=Counter)
    torn: int = 0
    losses: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(folder: Path, kills: int, seed: int, items: int = 400, keep: Path | None = None) -> Outcome:
    """Kill writers of one graph, one after the other; after each kill compare what it holds with what was confirmed.

    Args:
        keep: where the files of a graph with a loss are copied to.
    """
    started, random, outcome = time.monotonic(), Random(seed), Outcome()
    graph_folder, copy = folder / "graph", folder / "copy"
    first = 0
    while outcome.deaths.total() < kills and not outcome.losses:
        phase = random.choice(PHASES)
        worker = _run_until_killed(graph_folder, first, items, phase, random)
        outcome.deaths[phase] += 1
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(graph_folder, copy)
        with capture_logs() as logged:
            fault = _find_fault(graph_folder, worker, items)
        outcome.torn += any(entry["event"] == LOG_CUT for entry in logged)
        if fault:
            outcome.losses.append(f"kill {outcome.deaths.total()}, {phase}: {fault}")
            if keep:
                shutil.copytree(copy, keep / f"seed-{seed}-kill-{outcome.deaths.total()}")
        first = worker
    outcome.seconds = time.monotonic() - started
    return outcome


def _run_until_killed(folder: Path, first: int, items: int, phase: str, random: Random) -> int:
    """Let a writer work until it is killed; return the number of the first change that is not confirmed."""
    occurrence = random.randint(1, 3)
    awaited = "applying" if phase in GROWING_FILES else phase
    command = [sys.executable, "-m", writing.__name__, str(folder), str(first), "--items", str(items), *ENDLESS]
    confirmed = first
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            said, _, number = line.partition(" ")
            if said == "signed":
                confirmed = int(number) + 1
            occurrence -= said == awaited
            if not occurrence:
                if phase in GROWING_FILES:
                    _await_growth(folder / f"graph.lbug.{GROWING_FILES[phase]}")
                time.sleep(random.uniform(0, KILL_WITHIN_S.get(phase, MOMENT_S)))
                process.kill()
    if process.returncode != -9:
        raise RuntimeError(f"A writer ended with {process.returncode}.")
    return confirmed


def _await_growth(file: Path) -> None:
    """Return as soon as a file grows, or after two seconds."""
    deadline, before = time.monotonic() + WATCH_S, _size(file)
    while time.monotonic() < deadline and (now := _size(file)) <= before:
        before = now


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _find_fault(folder: Path, confirmed: int, items: int) -> str | None:
    """Return what is wrong with the graph; it must hold the last confirmed change, or the one after it.

    Its mark must promise no more than is there.
    """
    graph = LadybugGraph(folder)
    try:
        found = writing.read_parts(graph)
    except StoreUnavailable as error:
        return str(error)
    holds = [number for number in (confirmed - 1, confirmed) if found == writing.expected_parts(number, items)]
    if not holds:
        return f"{len(found)} parts, which are neither those of change {confirmed - 1} nor of the next"
    mark = graph.generation()
    return None if mark is None or int(mark) in {*range(holds[0] - 2, holds[0] + 1)} else f"mark {mark} at {holds[0]}"


@click.command()
@click.option("--kills", default=300, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Where the files of a graph with a loss are copied to.")
def main(kills: int, seed: int, keep: Path | None) -> None:
    """Kill writers of an embedded graph again and again, and look for what is lost."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), kills, seed, keep=keep)
    places = ", ".join(f"{count} {phase}" for phase, count in sorted(outcome.deaths.items()))
    click.echo(f"seed {seed}: {outcome.deaths.total()} killed ({places}), {outcome.seconds:.0f} s")
    click.echo(f"{outcome.torn} logs broke off, {len(outcome.losses)} losses")
    for line in outcome.losses:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.losses))


if __name__ == "__main__":
    main()
