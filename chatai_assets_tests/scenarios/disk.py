"""The disk is full, or fails, at random moments while a process works; the end must be that of a quiet day.

``python -m chatai_assets_tests.scenarios.disk --items 2000 --faults 200 [--seed 1]``

A worker ingests posts, documents and edits and processes everything due. Repeatedly its calls fail with ENOSPC or EIO
for a moment (see ``bad_disk``): at the files of the record store, or at all files, including the vector index and the
graph; at each call, or at some. Then there is space again. Meanwhile it must fail as an outage, with a sentence that
says what to do; then it is restarted, as by the sensors, in the same process or in the next one.
"""

from __future__ import annotations

import multiprocessing
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import click

from chatai_assets.domain.errors import ChatAIError, Outage
from chatai_assets.domain.ids import STREAMS
from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.observability import configure_logging
from chatai_assets.operations.status import redo
from chatai_assets.pipeline.engine import reclaim_dead_leases
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.scenarios.kills import Arrivals, Plan
from chatai_assets_tests.support.bad_disk import Fault, allow_tracing, inject_fault
from chatai_assets_tests.support.forked_workers import LIMITS, PRELOADED_MODULES
from chatai_assets_tests.support.pipeline import (
    contents,
    differences,
    due_hours,
    find_inconsistencies,
    free_settings,
    ingest_files,
    process_all,
    rows,
    run,
    stage_run_config,
)

PATIENCE_S = 120.0
"""A worker that says nothing for so long hangs."""
LONGEST_GAP_S = 0.5
LONGEST_FAULT_S = 0.6
REST_S = 0.02
TRIES = 20
"""Times that a process tries with the same open stores."""
CORRUPT = "corrupt"
"""What the damaged documents of the corpus fail with."""
FAULTS_PER_WORKER = 4
EDITED = 0.6
"""Faults, after which the next process goes on."""
RECORDS = "records.sqlite"
GRAPH_FILES = ("graph.lbug", "graph.lbug.wal", "graph.lbug.shadow", "graph.draft", "graph.draft.wal", "mark.new")
SQLITE_CALLS = ("pwrite64", "ftruncate", "fdatasync")
"""Calls in which the record store would fail before anything else can."""
SAYS_WHAT_TO_DO = re.compile(r"free space on|check (the|its|that) disk")


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        injected: error, call and file -> how often the call failed.
        said: what failed, and the sentence -> how often.
        faults: what must not be: blamed items, unforeseen exceptions, differences, loose ends.
    """

    injected: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    workers: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run_all(folder: Path, items: int, faults: int, seed: int) -> Outcome:
    """Do it all in a folder: once undisturbed, once on a bad disk; compare."""
    started, random, outcome = time.monotonic(), Random(seed), Outcome()
    plan = Plan(items=items, kills=0, boundary_kills=0, seed=seed, edited=EDITED)
    quiet, disturbed = folder / "quiet", folder / "disturbed"
    expected = _run_undisturbed(quiet, Arrivals(folder / "files", plan))
    material = Arrivals(folder / "files", plan)
    workers = -(-faults // FAULTS_PER_WORKER)
    posts, documents = -(-material.posts_left // workers), -(-material.documents_left // workers)
    while faults:
        count = min(FAULTS_PER_WORKER, faults)
        faults -= count
        arrivals = [*material.posts(posts), *material.documents(documents)]
        _run_worker(disturbed, arrivals, count, random, folder / "strace.txt", outcome)
    with Services(free_settings(disturbed)) as services:
        for path in material.rest():
            ingest_files(services, [path])
        reclaim_dead_leases(services.records)
        while any(due_hours(services, stream) for stream in STREAMS):
            process_all(services)
        found = contents(services)
    outcome.faults += differences(expected, found) + find_inconsistencies(found)
    outcome.seconds = time.monotonic() - started
    return outcome


def _run_undisturbed(home: Path, material: Arrivals) -> dict[str, Any]:
    with Services(free_settings(home)) as services:
        for path in material.rest():
            ingest_files(services, [path])
        process_all(services)
        found = contents(services)
    material.rewind()
    return found


def _draw_fault(home: Path, random: Random) -> Fault:
    """Return what goes wrong next: mostly at the record store, now and then at the other stores or at all files."""
    error, every = random.choice(("ENOSPC", "EIO")), random.choice((1, 1, 2, 5))
    of_records = [home / f"{RECORDS}{ending}" for ending in ("", "-wal", "-shm")]
    match random.choice(("all", "records", "records", "part", "part", "graph", "vectors", "beside")):
        case "records":
            return Fault(error, of_records, every)
        case "part":
            return Fault(error, [random.choice(of_records)], every)
        case "graph":
            return Fault(error, [home / "graph" / name for name in GRAPH_FILES], every)
        case "vectors":
            return Fault(error, [home / "vectors" / "current.new", *_files(home / "vectors")], every)
        case "beside":
            return Fault(error, (), every, SQLITE_CALLS)
    return Fault(error, (), every)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _run_worker(home: Path, arrivals: Sequence[Path], faults: int, random: Random, log: Path, outcome: Outcome) -> None:
    """Let one process work until all that arrived is done, on a disk that fails so many times meanwhile."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED_MODULES, __name__])
    ours, its = context.Pipe(duplex=True)
    process = context.Process(target=_work, args=(home, arrivals, its, random.getrandbits(32)))
    process.start()
    its.close()
    outcome.workers += 1
    with ours:
        if not _read_messages(ours, PATIENCE_S, outcome, until="begun"):
            outcome.faults.append("a worker does not begin")
        for _ in range(faults):
            _read_messages(ours, random.uniform(0, LONGEST_GAP_S), outcome)
            fault = _draw_fault(home, random)
            with inject_fault(process.pid or 0, fault, outcome.injected, log):
                _read_messages(ours, random.uniform(0.05, LONGEST_FAULT_S), outcome)
        with suppress(BrokenPipeError):
            ours.send("finish")
        if not _read_messages(ours, PATIENCE_S, outcome, until="done"):
            outcome.faults.append("a worker hangs")
            process.kill()
    process.join(PATIENCE_S)
    if process.exitcode:
        outcome.faults.append(f"a worker ended with {process.exitcode}")


def _read_messages(ours: Connection, seconds: float, outcome: Outcome, until: str = "") -> bool:
    """Note what a worker says for a while; return whether it said what is awaited."""
    deadline = time.monotonic() + seconds
    while ours.poll(max(0.0, deadline - time.monotonic())):
        try:
            what, sentence = ours.recv()
        except (EOFError, OSError):
            return False
        if what == until:
            return True
        if what == "fault":
            outcome.faults.append(sentence)
        else:
            outcome.said[f"{what}: {sentence}"] += 1
            if not SAYS_WHAT_TO_DO.search(sentence):
                outcome.faults.append(f"does not say what to do: {sentence}")
    return False


def _work(home: Path, arrivals: Sequence[Path], says: Connection, seed: int) -> None:
    """Take in what arrives and do what is due, again and again until told to finish, whatever fails meanwhile."""
    configure_logging("CRITICAL")
    allow_tracing()
    says.send(("begun", ""))
    worker = _Worker(home, [*arrivals], says, Random(seed))
    try:
        while not (says.poll() and worker.is_done()):
            worker.live()
    except Exception:  # noqa: BLE001 - reported to the parent
        says.send(("fault", traceback.format_exc(limit=-6)))
    says.send(("done", ""))


class _Worker:
    """Works on a home while its disk fails."""

    def __init__(self, home: Path, arrivals: list[Path], says: Connection, random: Random) -> None:
        self._home = home
        self._arrivals = arrivals
        self._says = says
        self._random = random

    def is_done(self) -> bool:
        """Return whether all that arrived is done."""
        with Services(free_settings(self._home)) as services:
            return not self._arrivals and not any(due_hours(services, stream) for stream in STREAMS)

    def live(self) -> None:
        """Open the stores and try some times."""
        with Services(free_settings(self._home)) as services:
            for _ in range(TRIES):
                try:
                    self._take_in(services)
                    if not self._do_due(services) and not self._says.poll():
                        self._redo(services)
                except ChatAIError as error:
                    self._says.send((type(error).__name__ if isinstance(error, Outage) else "fault", str(error)))
                time.sleep(REST_S)

    def _take_in(self, services: Services) -> None:
        while self._arrivals:
            for rejected in ingest_files(services, self._arrivals[:1]).rejected:
                self._says.send(("fault", f"rejected: {rejected.reason}"))
            del self._arrivals[0]

    def _do_due(self, services: Services) -> bool:
        due = [(stream, hour) for stream in STREAMS for hour in due_hours(services, stream)]
        for stream, hour in due:
            for stage in ITEM_STAGES:
                report = run(stage, stage_run_config(stream, hour, LIMITS), services)
                for blamed in {*report.failed, *report.retried} - {CORRUPT}:
                    self._says.send(("fault", f"{stage}: items are blamed with {blamed}"))
        return bool(due)

    def _redo(self, services: Services) -> None:
        """Have something to do: make a third of all items pending again."""
        keys = [row["source_key"] for table in (schema.posts, schema.documents) for row in rows(services, table)]
        for key in self._random.sample(keys, len(keys) // 3):
            redo(services.records, key)


@click.command()
@click.option("--items", default=2_000, show_default=True)
@click.option("--faults", default=200, show_default=True)
@click.option("--seed", type=int, help="Drawn by default, and printed.")
def main(items: int, faults: int, seed: int | None) -> None:
    """Let a disk fail again and again, and compare the stores with those of an undisturbed run."""
    configure_logging("CRITICAL")
    seed = SystemRandom().randrange(10_000) if seed is None else seed
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_all(Path(folder), items, faults, seed)
    for what, count in sorted(outcome.injected.items()):
        click.echo(f"  {count} {what}")
    for what, count in outcome.said.most_common():
        click.echo(f"  {count} {what}")
    calls, workers = outcome.injected.total(), outcome.workers
    click.echo(f"bad disk: {faults} times for {workers} processes, {calls} calls failed, {outcome.seconds:.0f} s")
    click.echo(f"{len(outcome.faults)} items blamed, hangs, differences or loose ends")
    for line in outcome.faults[:50]:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
