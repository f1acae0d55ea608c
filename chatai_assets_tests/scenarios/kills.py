"""kill -9 at random moments while posts and documents are processed and edited; the end must be that of a quiet day.

``python -m chatai_assets_tests.scenarios.kills --posts 2000 --documents 50 --kills 20 --seed 1``
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import click

from chatai_assets.assembly import Parts
from chatai_assets.domain.keys import STAGES, STREAMS, document_id_of, document_key, post_key
from chatai_assets.observability import configure_logging
from chatai_assets.stages.batches import free_lost_claims
from chatai_assets.stages.overview import redo
from chatai_assets_tests.pipeline import (
    contents,
    differences,
    due_hours,
    free_settings,
    ingest_files,
    ingest_posts,
    loose_ends,
    process_all,
)
from chatai_assets_tests.scenarios import corpus, worker

T = TypeVar("T")
PATIENCE_S = 120.0
TARGETS = [*worker.POINTS, *(f"{stream} {stage}" for stream in STREAMS for stage in STAGES)]


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    posts: int
    documents: int
    kills: int
    seed: int
    edited: float = 0.2
    longest_delay_s: float = 0.3


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        deaths: the stage or point at which each process died.
        completed: processes that finished before their time.
        differences: where the stores differ from those of an undisturbed run.
        loose_ends: what does not fit together in the stores.
        sizes: store -> entries at the end.
    """

    deaths: list[str] = field(default_factory=list)
    completed: int = 0
    differences: list[str] = field(default_factory=list)
    loose_ends: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class _Material:
    folder: Path
    posts: list[Any]
    edits: list[Any]


def run(folder: Path, plan: Plan, servers: Mapping[str, str] | None = None) -> Outcome:
    """Do it all in a folder: once undisturbed, once with kills; compare.

    Args:
        servers: variables that select servers for the run with kills; the other has embedded stores.
    """
    started = time.monotonic()
    originals = corpus.posts(plan.seed, plan.posts)
    material = _Material(folder / "files", originals, corpus.edits(plan.seed, originals, plan.edited))
    expected = _undisturbed(folder / "quiet", material, plan)
    outcome = Outcome()
    found = _disturbed(folder / "killed", servers or {}, material, plan, outcome)
    outcome.differences = differences(expected, found)
    outcome.loose_ends = loose_ends(found)
    outcome.sizes = {name: len(entries) for name, entries in found.items()}
    outcome.seconds = time.monotonic() - started
    return outcome


def _undisturbed(home: Path, material: _Material, plan: Plan) -> dict[str, Any]:
    with Parts(free_settings(home)) as parts:
        ingest_posts(parts, material.posts)
        paths = corpus.write_documents(plan.seed, material.folder, plan.documents)
        ingest_files(parts, paths)
        ingest_posts(parts, material.edits)
        ingest_files(parts, corpus.edit_documents(plan.seed, paths, plan.edited))
        return _finished(parts)


def _finished(parts: Parts) -> dict[str, Any]:
    free_lost_claims(parts.records)
    while any(due_hours(parts, stream) for stream in STREAMS):
        process_all(parts)
    return contents(parts)


def _disturbed(
    home: Path, servers: Mapping[str, str], material: _Material, plan: Plan, outcome: Outcome
) -> dict[str, Any]:
    random = Random(plan.seed)
    lives = 3 * plan.kills  # some finish before their time
    targets = [target for _ in range(0, lives, len(TARGETS)) for target in random.sample(TARGETS, len(TARGETS))][:lives]
    with Parts(free_settings(home, servers)) as parts:
        ingest_posts(parts, material.posts)
        paths = corpus.write_documents(plan.seed, material.folder, plan.documents)
        ingest_files(parts, paths)
        edited = corpus.edit_documents(plan.seed, paths, plan.edited)
        for number, target in enumerate(targets):
            if len(outcome.deaths) == plan.kills:
                break
            if number >= plan.kills:
                _redo_some(parts, random, material.posts, paths)
            arriving = _portion(material.edits, number, plan.kills), _portion(edited, number, plan.kills)
            died_at = _one_life(parts, servers, target, random, plan, *arriving)
            outcome.completed += died_at is None
            outcome.deaths += [died_at] if died_at else []
        return _finished(parts)


def _portion(items: list[T], number: int, count: int) -> list[T]:
    return items[number * len(items) // count : (number + 1) * len(items) // count]


def _redo_some(parts: Parts, random: Random, posts: list[Any], paths: list[Path]) -> None:
    """Make some items pending again, so that the next process has something to do."""
    for update in random.sample(posts, len(posts) // 10):
        redo(parts.records, post_key(update["channel_post"]["chat"]["id"], update["channel_post"]["message_id"]))
    for path in random.sample(paths, len(paths) // 3):
        redo(parts.records, document_key(document_id_of(str(path.resolve()))))


def _one_life(
    parts: Parts,
    servers: Mapping[str, str],
    target: str,
    random: Random,
    plan: Plan,
    edits: list[Any],
    changed: list[Path],
) -> str | None:
    """Let a process work until it is killed, edits arriving meanwhile; return where it died, None if it finished."""
    point = target if target in worker.POINTS else None
    mortal = ["--die-at", point, "--passings", str(random.randint(1, 2))] if point else []
    command = worker.command(parts.settings.home, servers, *mortal)
    arrival = threading.Thread(target=_arrive, args=(parts, edits, changed))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        last = ""
        for line in process.stdout or ():
            last = line.strip()
            if not arrival.ident:
                arrival.start()
            if last == target:
                time.sleep(random.uniform(0, plan.longest_delay_s))
                process.kill()
        watchdog.cancel()
    if not arrival.ident:
        arrival.start()
    arrival.join()
    if process.returncode == 0:
        return None
    if process.returncode != -9:
        raise RuntimeError(f"A worker ended with {process.returncode} at {last!r}.")
    return point or last


def _arrive(parts: Parts, edits: list[Any], changed: list[Path]) -> None:
    if edits:
        ingest_posts(parts, edits)
    if changed:
        ingest_files(parts, changed)


@click.command()
@click.option("--posts", default=2_000, show_default=True)
@click.option("--documents", default=50, show_default=True)
@click.option("--kills", default=20, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--edited", default=0.2, show_default=True, help="Share of posts and documents that are edited.")
def main(posts: int, documents: int, kills: int, seed: int, edited: float) -> None:
    """Kill a worker again and again, and compare the stores with those of an undisturbed run."""
    configure_logging("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), Plan(posts, documents, kills, seed, edited))
    click.echo(
        f"seed {seed}: {len(outcome.deaths)} killed, {outcome.completed} finished first, {outcome.seconds:.0f} s"
    )
    for place, count in sorted(Counter(outcome.deaths).items()):
        click.echo(f"  {count} at {place}")
    click.echo(", ".join(f"{count} {name}" for name, count in outcome.sizes.items()))
    click.echo(f"{len(outcome.differences)} differences, {len(outcome.loose_ends)} loose ends")
    for line in [*outcome.differences, *outcome.loose_ends][:50]:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.differences or outcome.loose_ends))


if __name__ == "__main__":
    main()
