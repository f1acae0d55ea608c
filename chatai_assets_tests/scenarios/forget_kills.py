"""kill -9 at every commit and every write of a projection while a post and a document are forgotten and vacuumed.

``python -m chatai_assets_tests.scenarios.forget_kills [--database postgresql] [--places 5]``

Whenever it dies, an item is either as it was or forgotten, and the rest is pending: the next run, upkeep and vacuum
leave no trace. Where the points are is not listed here: an undisturbed forgetting, which comes first, finds it out.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from shutil import copytree

import click

from chatai_assets.observability import configure_logging
from chatai_assets.operations.erasure import finish, forget
from chatai_assets.operations.vacuum import vacuum
from chatai_assets.pipeline.engine import reclaim_dead_leases
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support.crash_injection import CrashingRecords, CrashPlan, CrashPointRecorder, inject_crashes
from chatai_assets_tests.support.erasure import (
    POST,
    erasure_stores,
    find_traces,
    find_traces_in_projections,
    find_traces_in_tables,
    ingest_all,
)
from chatai_assets_tests.support.forked_workers import PRELOADED_MODULES, TIMEOUT_S
from chatai_assets_tests.support.migrated_stores import empty_database
from chatai_assets_tests.support.pipeline import contents, find_inconsistencies, free_settings, process_all, rows
from chatai_assets_tests.support.server_processes import run_server

PRELOADED = (__name__, *PRELOADED_MODULES)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        points: at which a process was to die.
        deaths: of processes that did.
        faults: all that must not be, with the point.
    """

    points: list[str] = field(default_factory=list)
    deaths: int = 0
    faults: list[str] = field(default_factory=list)


def run(folder: Path, seed: int, *, places: int | None = None, servers: Sequence[Mapping[str, str]] = ()) -> Outcome:
    """Kill at each point, or at some of them, each time in a home of its own.

    Args:
        places: how many points at most.
        servers: variables that select servers, empty ones, one set per point and one more; embedded stores without.
    """
    outcome = Outcome()
    document = _ingest(folder / "home", {})
    survey = CrashPointRecorder()
    copytree(folder / "home", folder / "quiet")
    _forget_both(folder / "quiet", {}, document, survey)
    outcome.points = sorted(survey.points)
    if places is not None:
        outcome.points = Random(seed).sample(outcome.points, min(places, len(outcome.points)))
    for number, point in enumerate(outcome.points):
        chosen = servers[number] if servers else {}
        home = folder / f"home-{number}"
        if servers:
            _ingest(home, chosen)
        else:
            copytree(folder / "home", home)
        outcome.deaths += _kill_at(home, chosen, document, point)
        outcome.faults += [f"{point}: {fault}" for fault in _find_faults(home, chosen, document)]
    return outcome


def _ingest(home: Path, servers: Mapping[str, str]) -> str:
    with Services(free_settings(home, servers)) as services:
        return ingest_all(services, home.parent / "in")


def _forget_both(home: Path, servers: Mapping[str, str], document: str, crash_plan: CrashPlan) -> None:
    with Services(free_settings(home, servers)) as services:
        services.__dict__["records"] = CrashingRecords(services.records, crash_plan)
        inject_crashes(services, crash_plan)
        for name, key in (("post", POST), ("document", document)):
            crash_plan.stage = name
            forget(erasure_stores(services), key)
        crash_plan.stage = "vacuum"
        vacuum(erasure_stores(services), services.settings.inbox_folder, "default")


def _run_erasure(home: Path, servers: Mapping[str, str], document: str, point: str) -> None:
    configure_logging("ERROR")
    _forget_both(home, servers, document, CrashPlan(point))


def _kill_at(home: Path, servers: Mapping[str, str], document: str, point: str) -> bool:
    """Erase in a separate process; return whether it was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED])
    process = context.Process(target=_run_erasure, args=(home, servers, document, point))
    process.start()
    process.join(TIMEOUT_S)
    if process.exitcode not in (0, -9):
        process.kill()
        raise RuntimeError(f"A process that forgets ended with {process.exitcode}.")
    return process.exitcode == -9


def _find_faults(home: Path, servers: Mapping[str, str], document: str) -> list[str]:
    with Services(free_settings(home, servers)) as services:
        reclaim_dead_leases(services.records)
        found = _find_partial_erasures(services)
        process_all(services)
        finish(erasure_stores(services))
        for key in (POST, document):
            forget(erasure_stores(services), key)
        vacuum(erasure_stores(services), services.settings.inbox_folder, "default")
        found += [
            *find_traces_in_tables(services),
            *find_traces_in_projections(services),
            *find_inconsistencies(contents(services)),
        ]
    return found + find_traces(home)


def _find_partial_erasures(services: Services) -> list[str]:
    """Return items erased in part: an item must have its text and chunks, or a tombstone."""
    gone = {row["source_key"] for row in rows(services, schema.tombstones)}
    told = {row["source_key"] for row in rows(services, schema.chunks)}
    items = [*rows(services, schema.posts), *rows(services, schema.documents)]
    whole = {row["source_key"] for row in items if row["text"] and row["source_key"] in told}
    return [f"half of {row['source_key']}" for row in items if row["source_key"] not in whole | gone]


@click.command()
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option("--places", type=int, help="How many of the points, drawn at random; all by default.")
def main(database: str, places: int | None) -> None:
    """Kill the erasing process at every point."""
    configure_logging("ERROR")
    with ExitStack() as stack:
        servers = []
        if database == "postgresql":
            server = stack.enter_context(run_server("postgresql"))
            servers = [{"DATABASE_URL": stack.enter_context(empty_database(server))} for _ in range(80)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        outcome = run(folder, SystemRandom().randrange(10_000), places=places, servers=servers)
    click.echo(f"{outcome.deaths} killed at {len(outcome.points)} points: {', '.join(outcome.points)}")
    for fault in outcome.faults:
        click.echo(f"  {fault}")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
