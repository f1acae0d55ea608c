"""A worker is stopped past its lease and continued, again and again: nothing that it commits late may count.

``python -m chatai_assets_tests.scenarios.frozen_worker --rounds 100 --seed 1 [--postgresql]``

In each round a process is stopped (SIGSTOP) at a random moment while it holds claims. Revisions of some of what it
holds arrive, its lease lapses, this process takes the work over, and at a random moment the stopped one is continued.
After each round all stores must hold what those of an undisturbed home hold.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import click

from chatai_assets.domain.ids import STREAMS, post_key
from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.observability import configure_logging
from chatai_assets.operations.status import redo
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support import corpus, slow_worker
from chatai_assets_tests.support.migrated_stores import empty_database
from chatai_assets_tests.support.pipeline import (
    Limits,
    contents,
    differences,
    due_hours,
    find_inconsistencies,
    free_settings,
    ingest_files,
    ingest_posts,
    message,
    process_all,
    rows,
)
from chatai_assets_tests.support.server_processes import run_server

PATIENCE_S = 60.0
LEASE_S = 0.6
LONGEST_DELAY_S = 0.4
MOMENTS = [f"stage {stream} {stage}" for stream in STREAMS for stage in ITEM_STAGES]


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    rounds: int
    seed: int
    posts: int = 30
    documents: int = 4


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        stopped: stage -> how often the worker was stopped while it held items of it.
        taken_over: items of the frozen worker that another worker claimed before it continued.
        lost: claims that the worker had lost when it tried to commit.
        stale: lost claims that the worker committed nevertheless.
        faults: how the stores differ from undisturbed ones, round by round.
    """

    stopped: Counter[str] = field(default_factory=Counter)
    taken_over: int = 0
    lost: int = 0
    stale: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


class SlowWorker:
    """The process that is stopped and continued, and what it says."""

    def __init__(self, services: Services, servers: Mapping[str, str]) -> None:
        command = slow_worker.worker_command(services.settings.home, [*servers.items()], LEASE_S)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._said: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.lost: Counter[str] = Counter()
        self.until("idle")

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self._said.put(line.strip())
        self._said.put("ended")

    def until(self, *awaited: str) -> str:
        """Return the first of these lines that it says, or ``idle``; what it lost meanwhile is counted."""
        while True:
            line = self._said.get(timeout=PATIENCE_S)
            if line == "ended":
                raise AssertionError(f"The worker ended with {self._process.wait(PATIENCE_S)}.")
            if line.startswith("lost"):
                _, stream, stage, count = line.split()
                self.lost[f"stage {stream} {stage}"] += int(count)
            elif line in (*awaited, "idle"):
                return line

    def go(self) -> None:
        """Begin a round."""
        if self._process.stdin:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        """Stop it wherever it is."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue it."""
        os.kill(self._process.pid, signal.SIGCONT)

    def holds(self, services: Services) -> list[dict[str, Any]]:
        """Return the rows of work that it holds."""
        held = rows(services, schema.work, schema.work.c.owner.is_not(None))
        return [row for row in held if int(row["owner"].rsplit("/", 3)[1]) == self._process.pid]

    def end(self) -> None:
        """End it, whatever its state."""
        self._process.kill()
        self._listener.join(PATIENCE_S)
        with self._process:  # closes the pipes
            pass


def run(folder: Path, plan: Plan, servers: Mapping[str, str] | None = None) -> Outcome:
    """Do all rounds in a folder.

    Args:
        servers: variables that select servers for the disturbed home; the other has embedded stores.
    """
    started, random, outcome = time.monotonic(), Random(plan.seed), Outcome()
    with (
        Services(free_settings(folder / "quiet")) as quiet,
        Services(free_settings(folder / "stopped", servers)) as services,
        run_slow_worker(services, servers or {}) as worker,
    ):
        homes = (quiet, services)
        posts = corpus.posts(plan.seed, plan.posts)
        paths = corpus.write_documents(plan.seed, folder / "files", plan.documents)
        for home in homes:
            ingest_posts(home, posts)
            ingest_files(home, paths)
        for number in range(plan.rounds):
            _run_round(number, random, posts, homes, worker, outcome)
            _redo(random, posts, homes)
    outcome.seconds = time.monotonic() - started
    return outcome


@contextmanager
def run_slow_worker(services: Services, servers: Mapping[str, str]) -> Iterator[SlowWorker]:
    """Run a slow worker until the block ends."""
    worker = SlowWorker(services, servers)
    try:
        yield worker
    finally:
        worker.end()


def _run_round(
    number: int,
    random: Random,
    posts: list[Any],
    homes: tuple[Services, Services],
    worker: SlowWorker,
    outcome: Outcome,
) -> None:
    quiet, services = homes
    worker.lost.clear()
    while not (held := _freeze(random, posts, homes, worker)):
        pass
    moment = f"stage {held[0]['stream']} {held[0]['stage']}"
    outcome.stopped[moment] += 1
    taken: list[int] = []

    def go_on() -> None:
        still = {(row["tenant_id"], row["source_key"]) for row in worker.holds(services)}
        taken.append(sum((row["tenant_id"], row["source_key"]) not in still for row in held))
        worker.go_on()

    timer = threading.Timer(LEASE_S + random.uniform(0.2, 1.2), go_on)
    timer.start()
    for home, edits in zip(homes, [_revisions(number, random, held)] * 2, strict=True):
        if edits:
            ingest_posts(home, edits)
    time.sleep(LEASE_S)
    _finish(services)
    timer.join()
    worker.until("idle")
    _finish(services)
    _finish(quiet)
    outcome.taken_over += taken[0]
    outcome.lost += worker.lost[moment]
    outcome.stale += max(0, taken[0] - worker.lost[moment])
    found = contents(services)
    outcome.faults += [
        f"round {number}, {moment}: {line}"
        for line in differences(contents(quiet), found) + find_inconsistencies(found)
    ]


def _freeze(
    random: Random, posts: list[Any], homes: tuple[Services, Services], worker: SlowWorker
) -> list[dict[str, Any]]:
    """Let the worker begin and stop it at a random moment; return what it held, continue it if that was nothing."""
    worker.go()
    while worker.until(random.choice(MOMENTS)) != "idle":
        time.sleep(random.uniform(0, LONGEST_DELAY_S))
        worker.stop()
        if held := worker.holds(homes[1]):
            return held
        worker.go_on()
    _redo(random, posts, homes)
    return []


def _revisions(number: int, random: Random, held: list[dict[str, Any]]) -> list[Any]:
    """Return later revisions of a third of the posts that are held, in every other round."""
    mine = [row["source_key"] for row in held if row["stream"] == "posts"]
    chosen = random.sample(mine, len(mine) // 3 if number % 2 else 0)
    numbers = [(int(chat), int(post)) for _, chat, post in (key.split("/") for key in chosen)]
    return [
        message(
            post,
            corpus.text(random, post, random.choice((10, 40, 700))),
            date=corpus.BASE + post,
            edited=corpus.BASE + 10_000 + number,
            chat=chat,
        )
        for chat, post in numbers
    ]


def _redo(random: Random, posts: list[Any], homes: tuple[Services, Services]) -> None:
    """Make most posts and the documents pending again, in both homes."""
    chosen = [update["channel_post"] for update in random.sample(posts, len(posts) * 2 // 3)]
    keys = [post_key(post["chat"]["id"], post["message_id"]) for post in chosen]
    keys += [row["source_key"] for row in rows(homes[0], schema.documents)]
    for home in homes:
        for key in keys:
            redo(home.records, key)


def _finish(services: Services) -> None:
    """Process everything due here until no claim is left."""
    deadline = time.monotonic() + PATIENCE_S
    while any(due_hours(services, stream) for stream in STREAMS):
        process_all(services, limits=Limits(lease_s=60.0))
        if time.monotonic() > deadline:
            raise AssertionError("Work remains due.")


@click.command()
@click.option("--rounds", default=100, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--postgresql", is_flag=True, help="Keep the records in a PostgreSQL that is started for this.")
def main(rounds: int, seed: int, *, postgresql: bool) -> None:
    """Stop and continue a worker again and again, and compare the stores with those of an undisturbed home."""
    configure_logging("ERROR")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {}
        if postgresql:
            server = stack.enter_context(run_server("postgresql"))
            servers = {"DATABASE_URL": stack.enter_context(empty_database(server))}
        outcome = run(folder, Plan(rounds, seed), servers)
    click.echo(f"seed {seed}: stopped {outcome.stopped.total()} times, {outcome.seconds:.0f} s")
    for place, count in sorted(outcome.stopped.items()):
        click.echo(f"  {count} in {place}")
    click.echo(f"{outcome.taken_over} items taken over, {outcome.lost} found lost, {outcome.stale} stale commits")
    click.echo(f"{len(outcome.faults)} differences or loose ends")
    for line in outcome.faults[:50]:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.faults or outcome.stale))


if __name__ == "__main__":
    main()
