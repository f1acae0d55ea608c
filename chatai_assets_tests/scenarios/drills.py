"""The program is stopped while it works, repeatedly: no process and no claim may be left.

``python -m chatai_assets_tests.scenarios.drills --rounds 20 --seed 1``: so many times Ctrl-C and so many times SIGTERM,
to ``dagster dev`` and to ``chatai process``, at random moments of their work. At the end all is processed in peace.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import click
import dagster as dg
import psutil

from chatai_assets.domain.ids import STREAMS
from chatai_assets.observability import configure_logging
from chatai_assets.orchestration.instance import home_instance, prepare_dagster_home
from chatai_assets.orchestration.runs import OPEN
from chatai_assets.services import Services
from chatai_assets.settings import PROJECT
from chatai_assets.storage import schema
from chatai_assets.storage import work_queue as work
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.daemon import (
    BIN,
    WITH_DEFAULT_SIGINT,
    Daemon,
    chatai,
    clean_environment,
    find_processes,
    free_port,
)
from chatai_assets_tests.support.pipeline import free_settings, ingest_files, ingest_posts, rows

STOPPED_WITHIN_S = 30.0
CLEAN_WITHIN_S = 60.0
WORK_WAIT_S = 90.0
LONGEST_DELAY_S = 3.0
VARIABLES = {
    "CHATAI_BATCH_POSTS": "100",
    "CHATAI_BATCH_DOCUMENTS": "5",
    "CHATAI_RUN_POSTS": "200",
    "CHATAI_MODEL_PROCESSES": "1",
    "CHATAI_PARSER_PROCESSES": "1",
}


@dataclass(frozen=True)
class Stop:
    """One drill.

    Attributes:
        program: ``dagster dev`` or ``chatai process``.
        how: ``Ctrl-C`` or ``SIGTERM``.
        idle_s: seconds until no claim was left.
        seconds: until no process was left.
        code: with which the program ended; negative for a signal.
        left: what was left a minute later; empty when all is well.
    """

    program: str
    how: str
    idle_s: float
    seconds: float
    code: int
    left: tuple[str, ...]


@dataclass
class Outcome:
    """What came of all drills."""

    stops: list[Stop] = field(default_factory=list)
    unfinished: int = 0

    @property
    def faults(self) -> list[str]:
        """What was left of which drill."""
        return [f"{stop.program}, {stop.how}: {line}" for stop in self.stops for line in stop.left]


def run(
    folder: Path,
    programs: list[str],
    rounds: int,
    seed: int,
    on_progress: Callable[[Stop], None] = lambda _stop: None,
    posts: int = 250,
) -> Outcome:
    """Do all drills on one home, then process what is left in peace; tell what came of each."""
    random, outcome = Random(seed), Outcome()
    home = folder / "home"
    with Services(free_settings(home)) as services:
        prepare_dagster_home(services.settings)
        for number in range(rounds * len(programs) * 2):
            _ingest(services, folder / "files", number, posts)
            program, how = programs[number // 2 % len(programs)], ("Ctrl-C", "SIGTERM")[number % 2]
            outcome.stops.append(_drill(services, folder, program, how, random))
            on_progress(outcome.stops[-1])
        chatai(home, "process", variables=VARIABLES)
        outcome.unfinished = sum(row["state"] in {"pending", "working"} for row in rows(services, schema.work))
    return outcome


def _ingest(services: Services, folder: Path, number: int, count: int) -> None:
    """Let some posts and documents arrive, unless enough of the earlier ones wait."""
    with services.records.reading() as connection:
        waiting = sum(sum(work.open_hours(connection, stream).values()) for stream in STREAMS)
    if waiting < count:
        posts = corpus.posts(number, count)
        for post in posts:
            post["channel_post"]["chat"]["id"] -= 10 * number
        ingest_posts(services, posts, now=time.time())
        ingest_files(services, corpus.write_documents(number, folder / str(number), count // 12), now=time.time())


def _drill(services: Services, folder: Path, program: str, how: str, random: Random) -> Stop:
    started = _start(services.settings.home, folder / "log.txt", program)
    _wait_until(lambda: _find_claims(services), started, "somebody works")
    time.sleep(random.uniform(0, LONGEST_DELAY_S))
    told = time.monotonic()
    if how == "Ctrl-C":
        os.killpg(started.pid, signal.SIGINT)
    else:
        started.send_signal(signal.SIGTERM)
    idle_s = _seconds_until(lambda: not _find_claims(services), told)
    code = _exit_code(started)
    seconds = _seconds_until(lambda: not _processes(services, started), told)
    while (left := _find_leftovers(services, started)) and time.monotonic() - told < CLEAN_WITHIN_S:
        time.sleep(1)
    for process in _processes(services, started):
        process.kill()
    if idle_s > STOPPED_WITHIN_S:
        left.append(f"Work was given back after {idle_s} s only")
    return Stop(program, how, idle_s, seconds, code, tuple(left))


def _start(home: Path, log: Path, program: str) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own."""
    settled = {**clean_environment(), **VARIABLES, "CHATAI_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    if program == "chatai process":
        command = [str(BIN / "chatai"), "process"]
        with log.open("ab") as output:
            return subprocess.Popen(
                [*WITH_DEFAULT_SIGINT, *command],
                env=settled,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    port = free_port()
    command = [str(BIN / "dagster"), "dev", "--workspace", "workspace.yaml", "--port", str(port)]
    return Daemon(home, log, [*WITH_DEFAULT_SIGINT, *command], port, env=settled, cwd=PROJECT).process


def _wait_until(condition: Callable[[], Any], process: subprocess.Popen[bytes], what: str) -> None:
    deadline = time.monotonic() + WORK_WAIT_S
    while not condition():
        if time.monotonic() > deadline or process.poll() is not None:
            raise AssertionError(f"Waited in vain until {what}; the program: {process.poll()}.")
        time.sleep(0.1)


def _seconds_until(condition: Callable[[], Any], since: float) -> float:
    """Return the seconds from a moment until a condition holds, a minute at most."""
    while not condition() and time.monotonic() - since < CLEAN_WITHIN_S:
        time.sleep(0.1)
    return round(time.monotonic() - since, 1)


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _find_claims(services: Services) -> list[str]:
    return [
        f"{row['source_key']} {row['stage']}" for row in rows(services, schema.work, schema.work.c.state == "working")
    ]


def _processes(services: Services, started: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return find_processes(services.settings.home, started.pid)


def _find_leftovers(services: Services, started: subprocess.Popen[bytes]) -> list[str]:
    """Return what is left of a program that has ended."""
    left = [f"the process {' '.join(process.cmdline()[:4])}" for process in _processes(services, started)]
    if held := _find_claims(services):
        left.append(f"{len(held)} rows of work, e.g. {held[0]}")
    if processing := rows(services, schema.documents, schema.documents.c.status == "processing"):
        left.append(f"{len(processing)} documents that are processed")
    with home_instance(services.settings) as instance:
        open_runs = instance.get_runs(dg.RunsFilter(statuses=[status for status in OPEN if status.name != "QUEUED"]))
    return left + [f"the run {run.run_id}, {run.status.value}" for run in open_runs]


@click.command()
@click.option("--rounds", default=20, show_default=True, help="Of each program and each way to stop it.")
@click.option("--seed", default=1, show_default=True)
@click.option("--program", "programs", multiple=True, default=["dagster dev", "chatai process"], show_default=True)
def main(rounds: int, seed: int, programs: tuple[str, ...]) -> None:
    """Stop the program at random moments, and look what is left."""
    configure_logging("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), list(programs), rounds, seed, lambda stop: click.echo(str(stop)))
    for program in programs:
        for how in ("Ctrl-C", "SIGTERM"):
            stops = [stop for stop in outcome.stops if (stop.program, stop.how) == (program, how)]
            idle, seconds = sorted(stop.idle_s for stop in stops), sorted(stop.seconds for stop in stops)
            codes, leaving = sorted({stop.code for stop in stops}), sum(bool(stop.left) for stop in stops)
            click.echo(
                f"{program}, {how}: {len(stops)} times, work given back after {idle[len(idle) // 2]} s (longest "
                f"{idle[-1]} s), no process after {seconds[len(seconds) // 2]} s (longest {seconds[-1]} s), exit codes "
                f"{codes}, {leaving} left something"
            )
    for line in outcome.faults[:50]:
        click.echo(f"  {line}")
    click.echo(f"{outcome.unfinished} rows of work unfinished in the end")
    sys.exit(bool(outcome.faults or outcome.unfinished))


if __name__ == "__main__":
    main()
