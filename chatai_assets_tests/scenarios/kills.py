"""kill -9 at random moments and at every commit while items arrive and are edited; the end must be that of a quiet day.

``python -m chatai_assets_tests.scenarios.kills --items 10000 --kills 300 --boundary-kills 10 --database sqlite``

Where the commits are is not listed here: the quiet day, which comes first, finds it out.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import click
from sqlalchemy import func, select

from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.domain.tagging import TAGGED_CHARS
from chatai_assets.observability import configure_logging
from chatai_assets.pipeline.engine import reclaim_dead_leases
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.crash_injection import CrashPointRecorder, call_line
from chatai_assets_tests.support.forked_workers import (
    ENDED,
    WorkerExit,
    WorkerForks,
    WorkerPlan,
    append_line,
    count_calls,
    instrument,
    process_round,
)
from chatai_assets_tests.support.migrated_stores import empty_database
from chatai_assets_tests.support.pipeline import (
    contents,
    differences,
    due_hours,
    find_inconsistencies,
    free_settings,
    ingest_files,
)
from chatai_assets_tests.support.server_processes import run_server

WORKERS_PER_KILL = 3
"""Some processes finish before they come to where they shall die."""
DOCUMENTS_SHARE = 0.2
"""Of the random kills: processes that work on documents."""
RESERVE = 2.0
BEFORE_STAGES = " "
"""How the name of a point begins that is passed before any stage."""


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        items: posts and documents, one in twenty a document.
        kills: at random moments.
        boundary_kills: at each commit and each point of writing a projection; once after a commit that a home has once.
        edited: share of posts that get later revisions.
        longest_delay_s: until a random kill.
        places: how many of the boundaries at most; all by default.
        longest_s: after which no worker is killed.
    """

    items: int
    kills: int
    boundary_kills: int
    seed: int
    edited: float = 0.2
    longest_delay_s: float = 0.5
    places: int | None = None
    longest_s: float = math.inf


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        deaths: place -> processes that died there.
        completed: processes that finished before their time.
        boundaries: commits and points of writing at which processes were to die.
        unreached: boundaries at which fewer died than should have.
        differences: where the stores differ from those of an undisturbed run.
        loose_ends: what does not fit together in the stores.
        asked: texts that models were asked.
        repeated: of these, how many again without need.
        in_flight: texts whose answers were not committed yet when a process died.
        slowest_resumption_s: longest time from the start after a kill to the first claim.
        sizes: store -> entries at the end.
    """

    deaths: Counter[str] = field(default_factory=Counter)
    completed: int = 0
    boundaries: int = 0
    unreached: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    loose_ends: list[str] = field(default_factory=list)
    asked: int = 0
    repeated: int = 0
    in_flight: int = 0
    slowest_resumption_s: float = 0.0
    sizes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """All that must not be."""
        found = [*self.differences, *self.loose_ends]
        if self.repeated > self.in_flight:
            found.append(f"{self.repeated} repeated calls, only {self.in_flight} were in flight")
        return found + [f"missed {count} times: {place}" for place, count in self.unreached.items()]


class Arrivals:
    """What arrives, in order: originals before their later revisions.

    Args:
        folder: where documents lie; posts are handed over in files beside it.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._seed = plan.seed
        documents = max(1, plan.items // 20)
        originals = corpus.posts(plan.seed, plan.items - documents)
        self._updates = [*originals, *corpus.edits(plan.seed, originals, plan.edited)]
        self._names = [path.name for path in corpus.write_documents(plan.seed, folder, documents)]
        self._posts_given = self._documents_given = self._files = 0

    @property
    def posts_left(self) -> int:
        """Revisions of posts that did not arrive yet."""
        return len(self._updates) - self._posts_given

    @property
    def documents_left(self) -> int:
        """Revisions of documents that did not arrive yet."""
        return 2 * len(self._names) - self._documents_given

    def rewind(self) -> None:
        """Restart with the original documents."""
        corpus.write_documents(self._seed, self._folder, len(self._names))
        self._posts_given = self._documents_given = 0

    def posts(self, count: int) -> Iterator[Path]:
        """Yield a file with the next posts."""
        chosen = self._updates[self._posts_given : self._posts_given + count]
        if chosen:
            self._posts_given += len(chosen)
            self._files += 1
            path = self._folder.parent / f"arrivals-{self._files:05}.jsonl"
            path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in chosen), encoding="utf-8")
            yield path

    def documents(self, count: int) -> Iterator[Path]:
        """Yield the next documents, each to be taken in before the next is asked for: originals, then all rewritten."""
        for _ in range(min(count, self.documents_left)):
            again, number = divmod(self._documents_given, len(self._names))
            self._documents_given += 1
            path = self._folder / self._names[number]
            if again:
                corpus.edit_document(self._seed, path, number)
            yield path

    def rest(self) -> Iterator[Path]:
        """Yield all that is left, each to be taken in before the next is asked for."""
        yield from self.posts(self.posts_left)
        yield from self.documents(self.documents_left)


def run(folder: Path, plan: Plan, servers: Mapping[str, str] | None = None) -> Outcome:
    """Do it all in a folder: once undisturbed, once with kills; compare.

    Args:
        servers: variables that select servers for the run with kills; the other has embedded stores.
    """
    started = time.monotonic()
    material = Arrivals(folder / "files", plan)
    expected, boundaries = _run_undisturbed(folder / "quiet", material, folder / "quiet.txt")
    material.rewind()
    outcome = Outcome()
    with Services(free_settings(folder / "killed", servers)) as services:
        ledger = folder / "ledger.txt"
        _run_with_kills(services, servers or {}, material, plan, boundaries, ledger, outcome)
        _finish(services, ledger)
        found = contents(services)
        _count_calls(services, ledger.read_text(encoding="ascii").splitlines(), outcome)
    outcome.differences = differences(expected, found)
    outcome.loose_ends = find_inconsistencies(found)
    outcome.sizes = {name: len(entries) for name, entries in found.items()}
    outcome.seconds = time.monotonic() - started
    return outcome


def _run_undisturbed(home: Path, material: Arrivals, ledger: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what a quiet day leaves in the stores, and the points that it passes."""
    with Services(free_settings(home)) as services:
        survey = CrashPointRecorder()
        instrument(services, survey, ledger)
        survey.stage = "ingest"
        for path in material.rest():
            ingest_files(services, [path])
        while process_round(services, survey):
            pass
        return contents(services), sorted(survey.points)


def _finish(services: Services, ledger: Path) -> None:
    reclaim_dead_leases(services.records)
    instrument(services, CrashPointRecorder(), ledger)
    while any(due_hours(services, stream) for stream in STREAMS):
        process_round(services, CrashPointRecorder())


def _run_with_kills(
    services: Services,
    servers: Mapping[str, str],
    material: Arrivals,
    plan: Plan,
    boundaries: Sequence[str],
    ledger: Path,
    outcome: Outcome,
) -> None:
    random = Random(plan.seed)
    chosen = random.sample(boundaries, min(len(boundaries), plan.places or len(boundaries)))
    targets = _targets(chosen, plan, random)
    portions = _ArrivalBatches(material, targets)
    forks, left, waiting = WorkerForks(), len(targets) * WORKERS_PER_KILL, list[Path]()
    until = time.monotonic() + plan.longest_s
    while targets and left and time.monotonic() < until:
        left -= 1
        target = targets.pop(0)
        streams = _choose_streams(target, random)
        waiting += portions.next(streams)
        worker = WorkerPlan(services.settings.home, servers, waiting, streams, target, ledger)
        end = forks.run(worker, None if target else random.uniform(0, plan.longest_delay_s))
        append_line(ledger, ENDED)
        waiting = [] if end.took_in else waiting
        _record_exit(end, target, outcome)
        if not end.killed:
            targets.append(target)
    outcome.boundaries = len(chosen)
    outcome.unreached = dict(Counter(target or "a random moment" for target in targets))
    for path in (*waiting, *material.rest()):
        ingest_files(services, [path])


def _targets(places: Sequence[str], plan: Plan, random: Random) -> list[str | None]:
    """Return where processes are killed, in order; None for a random moment.

    Points before any stage are reached only while a home is created, until that is committed.
    """
    first = sorted(place for place in places if place.startswith(BEFORE_STAGES))
    before, after = ([place for place in first if place.endswith(f"{side} its commit")] for side in ("before", "after"))
    later = [place for place in places if place not in first]
    targets: list[str | None] = [*[None] * plan.kills, *later * plan.boundary_kills]
    random.shuffle(targets)
    return [*before * plan.boundary_kills, *after * min(1, plan.boundary_kills), *targets]


class _ArrivalBatches:
    """How much arrives per worker: enough for all of them, with a reserve for workers that must be repeated."""

    def __init__(self, material: Arrivals, targets: Sequence[str | None]) -> None:
        self._material = material
        of_documents = sum(DOCUMENTS_SHARE if target is None else "document" in target for target in targets)
        self._posts = material.posts_left / (RESERVE * len(targets))
        self._documents = material.documents_left / (RESERVE * max(1.0, of_documents))
        self._posts_due = self._documents_due = 0.0

    def next(self, streams: Sequence[Stream]) -> list[Path]:
        self._posts_due += self._posts
        self._documents_due += self._documents if "documents" in streams else 0.0
        posts, documents = int(self._posts_due), int(self._documents_due)
        self._posts_due -= posts
        self._documents_due -= documents
        return [*self._material.posts(posts), *self._material.documents(documents)]


def _record_exit(end: WorkerExit, target: str | None, outcome: Outcome) -> None:
    outcome.completed += not end.killed
    if end.killed:
        outcome.deaths[target or f"{end.stage or 'the start'}, at random"] += 1
    outcome.slowest_resumption_s = max(outcome.slowest_resumption_s, end.resumed_s or 0.0)


def _choose_streams(target: str | None, random: Random) -> tuple[Stream, ...]:
    """Return what a process works on: documents, whose parsing takes longest, only where it may die in them."""
    about = target or ("documents" if random.random() < DOCUMENTS_SHARE else "posts")
    return ("documents", "posts") if "document" in about else ("posts",)


def _count_calls(services: Services, ledger: Sequence[str], outcome: Outcome) -> None:
    """Count what was asked again, and what was under way when a process died."""
    asked, outcome.in_flight = count_calls(ledger)
    twice = _calls_needed_twice(services)
    outcome.asked = asked.total()
    outcome.repeated = sum(max(0, times - 1 - (line in twice)) for line, times in asked.items())


def _calls_needed_twice(services: Services) -> set[str]:
    """Return what must be asked twice: of posts that were edited back to words which they had before."""
    arrival = schema.inbox.c
    again = select(arrival.source_key).group_by(arrival.source_key, arrival.content_hash).having(func.count() > 1)
    with services.records.reading() as connection:
        posts = connection.execute(select(schema.posts.c.text).where(schema.posts.c.source_key.in_(again))).scalars()
        chunks = connection.execute(select(schema.chunks.c.text).where(schema.chunks.c.source_key.in_(again))).scalars()
        whole = {call_line("tag", text[:TAGGED_CHARS]) for text in posts}
        return whole | {call_line("extract", text) for text in chunks}


@click.command()
@click.option("--items", default=10_000, show_default=True)
@click.option("--kills", default=300, show_default=True, help="At random moments.")
@click.option("--boundary-kills", default=10, show_default=True, help="Right before and right after each commit.")
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option("--seed", type=int, help="Drawn by default, and printed.")
@click.option("--minutes", default=60, show_default=True, help="After which no worker is killed.")
def main(items: int, kills: int, boundary_kills: int, database: str, seed: int | None, minutes: int) -> None:
    """Kill workers again and again, and compare the stores with those of an undisturbed run."""
    configure_logging("ERROR")
    seed = SystemRandom().randrange(10_000) if seed is None else seed
    click.echo(f"seed {seed}, {database}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {}
        if database == "postgresql":
            servers = {
                "DATABASE_URL": stack.enter_context(empty_database(stack.enter_context(run_server("postgresql"))))
            }
        outcome = run(folder, Plan(items, kills, boundary_kills, seed, longest_s=60.0 * minutes), servers)
    _print_outcome(outcome)
    sys.exit(bool(outcome.faults))


def _print_outcome(outcome: Outcome) -> None:
    for place, count in sorted(outcome.deaths.items()):
        click.echo(f"  {count} at {place}")
    click.echo(f"{outcome.deaths.total()} killed, at {outcome.boundaries} boundaries and at random")
    click.echo(f"{outcome.completed} finished before their time, {outcome.seconds:.0f} s")
    click.echo(f"work resumed after at most {outcome.slowest_resumption_s:.1f} s")
    click.echo(f"{outcome.asked} texts asked, {outcome.repeated} again, {outcome.in_flight} were in flight")
    click.echo(", ".join(f"{count} {name}" for name, count in outcome.sizes.items()))
    click.echo(f"{len(outcome.differences)} differences, {len(outcome.loose_ends)} loose ends")
    for line in outcome.faults[:50]:
        click.echo(f"  {line}")


if __name__ == "__main__":
    main()
