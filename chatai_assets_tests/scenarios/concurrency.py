"""Two workers and ten searches at once: no error, the end of a quiet day, nothing asked twice, no long waits.

``python -m chatai_assets_tests.scenarios.concurrency --posts 2000 --documents 50 --searchers 10``
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from chatai_assets.observability import configure_logging
from chatai_assets.services import Services
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support import crash_injection as worker
from chatai_assets_tests.support.pipeline import (
    contents,
    differences,
    find_chunks,
    find_inconsistencies,
    free_settings,
    ingest_files,
    ingest_posts,
    process_all,
)

PATIENCE_S = 300.0
QUESTION = "Когда прибыл поезд в Москва"


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        processes: each search is a command of its own, not a thread.
        projection_items: how many items workers write in one turn at an index.
    """

    posts: int
    documents: int
    searchers: int
    seed: int = 1
    workers: int = 2
    processes: bool = False
    pause_s: float = 1.0
    projection_items: int = 150


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        faults: what workers and searchers said on stderr, or how they ended.
        searches_s: seconds of each search while the workers worked.
        quiet_s: seconds of a search when nobody works.
        found: searches that had hits while a worker still worked.
        asked: model -> texts it was asked; the same text again counts again.
        twice: texts that a model was asked more often than there are items with it.
        differences: where the stores differ from those of a run alone.
    """

    faults: list[str] = field(default_factory=list)
    searches_s: list[float] = field(default_factory=list)
    quiet_s: float = 0.0
    found: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    loose_ends: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(folder: Path, plan: Plan, servers: Mapping[str, str] | None = None) -> Outcome:
    """Do it all in a folder: once alone, once in a crowd; compare.

    Args:
        servers: variables that select servers for the crowd; who is alone has embedded stores.
    """
    outcome = Outcome()
    posts = corpus.posts(plan.seed, plan.posts)
    paths = corpus.write_documents(plan.seed, folder / "files", plan.documents)
    with Services(free_settings(folder / "alone")) as services:
        _ingest(services, posts, paths)
        process_all(services)
        expected = contents(services)
    calls = folder / "calls.txt"
    with Services(free_settings(folder / "crowd", servers)) as services:
        _ingest(services, posts, paths)
        started = time.monotonic()
        _run_all(services, servers or {}, plan, calls, outcome)
        outcome.seconds = time.monotonic() - started
        found = contents(services)
        outcome.quiet_s = min(_measure_s(lambda: _search(services)) for _ in range(3))
    outcome.differences, outcome.loose_ends = differences(expected, found), find_inconsistencies(found)
    asked = Counter(calls.read_text(encoding="ascii").splitlines())
    outcome.asked.update(line.split()[0] for line in asked.elements())
    outcome.twice = [line for line, times in asked.items() if times > 1]
    return outcome


def _ingest(services: Services, posts: list[Any], paths: list[Path]) -> None:
    ingest_posts(services, posts)
    ingest_files(services, paths)


def _run_all(services: Services, servers: Mapping[str, str], plan: Plan, calls: Path, outcome: Outcome) -> None:
    """Start workers and searchers, and wait for all of them."""
    options = ("--calls", str(calls), "--projection-items", str(plan.projection_items))
    command, over = worker.worker_command(services.settings.home, servers, *options), threading.Event()
    workers = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(plan.workers)
    ]
    look = _command_search if plan.processes else _search
    searchers = [
        threading.Thread(target=_keep_searching, args=(services, plan, look, over, outcome))
        for _ in range(plan.searchers)
    ]
    for thread in searchers:
        thread.start()
    for process in workers:
        _, said = process.communicate(timeout=PATIENCE_S)
        outcome.faults += [f"worker ended with {process.returncode}: {said}"] if process.returncode or said else []
    over.set()
    for thread in searchers:
        thread.join()


def _keep_searching(
    services: Services, plan: Plan, look: Callable[[Services], int], over: threading.Event, outcome: Outcome
) -> None:
    while not over.is_set():
        started = time.monotonic()
        try:
            outcome.found += bool(look(services)) and not over.is_set()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            outcome.faults.append(f"search: {type(error).__name__}: {error}")
        outcome.searches_s.append(time.monotonic() - started)
        over.wait(plan.pause_s)


def _search(services: Services) -> int:
    return len(find_chunks(services, QUESTION))


def _command_search(services: Services) -> int:
    """Search as a person does, with a process of its own."""
    code = "from chatai_assets.cli.main import main; main()"
    environ = {"CHATAI_HOME": str(services.settings.home), "CHATAI_MODELS": "free", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code, "search", QUESTION, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=PATIENCE_S, check=False)
    if done.returncode:
        raise OSError(f"exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return len(json.loads(done.stdout))


def _measure_s(look: Callable[[], int]) -> float:
    started = time.monotonic()
    look()
    return time.monotonic() - started


@click.command()
@click.option("--posts", default=2_000, show_default=True)
@click.option("--documents", default=50, show_default=True)
@click.option("--searchers", default=10, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--processes", is_flag=True, help="Each search is a command of its own.")
def main(posts: int, documents: int, searchers: int, seed: int, *, processes: bool) -> None:
    """Let two workers and several searchers loose on one home."""
    configure_logging("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), Plan(posts, documents, searchers, seed, processes=processes))
    times = sorted(outcome.searches_s)
    click.echo(f"two workers: {outcome.seconds:.1f} s, asked {dict(outcome.asked)}, {len(outcome.twice)} texts twice")
    told = (
        f"median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s, when nobody works {outcome.quiet_s:.2f} s"
    )
    click.echo(f"{len(times)} searches: {told}")
    click.echo(
        f"{len(outcome.differences)} differences, {len(outcome.loose_ends)} loose ends, {len(outcome.faults)} faults"
    )
    for line in [*outcome.faults, *outcome.differences, *outcome.loose_ends][:30]:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.faults or outcome.differences or outcome.loose_ends or outcome.twice))


if __name__ == "__main__":
    main()
