"""Stores and providers that fail, or do what they are told and do not say so, at one call in ten each.

``python -m chatai_assets_tests.scenarios.lost_acks --items 20000 --rate 0.1 --seed 1``

The faults lie around the real stores: a transaction fails before its commit, or its commit succeeds and the client
sees an error; likewise each write of vectors and graph. Tags and vectors are asked over HTTP of a server that does the
same. Whoever is told of an error comes again, as the sensors of the real program do, until nothing is due.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from threading import Lock
from typing import Any

import click

from chatai_assets.adapters.vectors.base import Point
from chatai_assets.domain import retry as retries
from chatai_assets.domain.errors import Outage, StoreUnavailable
from chatai_assets.domain.graph.changes import GraphChange
from chatai_assets.domain.stages import ITEM_STAGES, Stage
from chatai_assets.observability import configure_logging
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.pipeline import (
    Limits,
    contents,
    due_hours,
    find_inconsistencies,
    ingest_posts,
    rows,
    run,
    stage_run_config,
)
from chatai_assets_tests.support.providers.home import open_services_at
from chatai_assets_tests.support.providers.server import provider_server

BATCH = 1_000
TRIES_PER_BATCH = 300
"""Runs of a stage that may fail, for each of its batches."""
SHORT_PAUSE_S = 0.05


class Dice:
    """Decides which call fails.

    Attributes:
        thrown: what happened -> how often.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self.rate = rate
        self.thrown: Counter[str] = Counter()
        self._random = Random(seed)
        self._turn = Lock()

    def error(self, what: str) -> None:
        """Raise ``StoreUnavailable`` before something is done, now and then."""
        self._throw(f"{what}: errors")

    def loss(self, what: str) -> None:
        """Raise ``StoreUnavailable`` after something was done, now and then."""
        self._throw(f"{what}: lost acknowledgements")

    def _throw(self, what: str) -> None:
        with self._turn:
            self.thrown[f"{what.partition(':')[0]}: calls"] += what.endswith("errors")
            if self._random.random() >= self.rate:
                return
            self.thrown[what] += 1
        raise StoreUnavailable(f"The dice say so: {what}.")


class LossyRecords:
    """A record store whose transactions fail."""

    def __init__(self, records: Any, dice: Dice) -> None:
        self.records = records
        self.dice = dice

    def __getattr__(self, name: str) -> Any:
        return getattr(self.records, name)

    @contextmanager
    def begin(self) -> Iterator[Any]:
        with self.records.begin() as connection:
            yield connection
            self.dice.error("commits")
        self.dice.loss("commits")

    @contextmanager
    def reading(self) -> Iterator[Any]:
        self.dice.error("reads")
        with self.records.reading() as connection:
            yield connection


class LossyStore:
    """A vector index or graph that fails when it is opened, written and closed."""

    def __init__(self, store: Any, name: str, dice: Dice) -> None:
        self.store = store
        self.name = name
        self.dice = dice

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    @contextmanager
    def writing(self) -> Iterator[LossyWriter]:
        self.dice.error(f"openings of {self.name}")
        with self.store.writing() as writer:
            yield LossyWriter(writer, self)
        self.dice.loss(f"openings of {self.name}")


class LossyWriter:
    """An open ``LossyStore``."""

    def __init__(self, writer: Any, store: LossyStore) -> None:
        self.writer = writer
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.writer, name)

    def _write(self, write: Callable[[Any], None], what: Any) -> None:
        self.store.dice.error(f"writes of {self.store.name}")
        write(what)
        self.store.dice.loss(f"writes of {self.store.name}")

    def upsert(self, points: Sequence[Point]) -> None:
        self._write(self.writer.upsert, points)

    def delete(self, ids: Sequence[str]) -> None:
        self._write(self.writer.delete, ids)

    def apply(self, change: GraphChange) -> None:
        self._write(self.writer.apply, change)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        thrown: what failed -> how often, and how often all was called.
        providers: what the provider server spoiled -> how often.
        failed_runs: runs of a stage that ended as an outage.
        lost: items of which something is missing.
        twice: what is there more than once, or must not be there.
    """

    thrown: Counter[str] = field(default_factory=Counter)
    providers: Counter[str] = field(default_factory=Counter)
    failed_runs: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def run_all(folder: Path, items: int, rate: float, seed: int, *, lease_s: float = 5.0) -> Outcome:
    """Take posts in, edit a fifth of them, and process all, with failing stores and providers.

    Args:
        lease_s: for how long items wait whose claim could not be given back.
    """
    started, outcome, dice = time.monotonic(), Outcome(), Dice(rate, seed)
    with provider_server() as server, open_services_at(server, folder, CHATAI_EXTRACTOR="free") as services:
        server.behave(shares={"lost_ack": rate, "503": rate})
        records, vectors, graph = services.records, services.vectors, services.graph
        services.__dict__.update(
            records=LossyRecords(records, dice),
            vectors=LossyStore(vectors, "vectors", dice),
            graph=LossyStore(graph, "graph", dice),
        )
        posts = corpus.posts(seed, items)
        for updates in (posts, corpus.edits(seed, posts, 0.2)):
            _ingest(services, updates)
            _process(services, outcome, TRIES_PER_BATCH * (2 + items // BATCH), lease_s)
        dice.rate = 0.0  # who closes a provider frees its turns, and is told where that fails
        outcome.providers = server.spoiled
        services.__dict__.update(records=records, vectors=vectors, graph=graph)
        outcome.thrown = dice.thrown
        _compare(services, posts, outcome)
    outcome.seconds = time.monotonic() - started
    return outcome


def _ingest(services: Services, updates: Sequence[Any]) -> None:
    for start in range(0, len(updates), BATCH):
        _retry(partial(ingest_posts, services, updates[start : start + BATCH]))


def _retry(attempt: Callable[[], Any]) -> Any:
    """Do something until it is not told to have failed."""
    for _ in range(TRIES_PER_BATCH):
        try:
            return attempt()
        except StoreUnavailable:
            continue
    raise AssertionError(f"{TRIES_PER_BATCH} attempts failed one after another.")


def _process(services: Services, outcome: Outcome, tries: int, lease_s: float) -> None:
    """Run stage after stage until nothing is due and nobody holds anything."""
    limits = Limits(run_items=BATCH, batch_items=BATCH, projection_items=BATCH, lease_s=lease_s)
    left = dict.fromkeys(ITEM_STAGES, tries)
    while _is_unfinished(services, lease_s):
        for hour in _retry(lambda: due_hours(services, "posts")):
            for stage in ITEM_STAGES:
                left[stage] -= 1
                _run_once(services, stage, hour, limits, outcome)
        if min(left.values()) < 0:
            raise AssertionError(f"Work is not done after {tries} runs of a stage.")


def _run_once(services: Services, stage: Stage, hour: str, limits: Limits, outcome: Outcome) -> None:
    try:
        run(stage, stage_run_config("posts", hour, limits), services)
    except Outage:
        outcome.failed_runs[stage] += 1


def _is_unfinished(services: Services, lease_s: float) -> bool:
    held = _retry(lambda: rows(services, schema.work, schema.work.c.state.in_(("pending", "working"))))
    if held and not _retry(lambda: due_hours(services, "posts")):
        time.sleep(lease_s / 5)  # what is left is put off, or held by a claim whose owner could not give it back
    return bool(held)


def _compare(services: Services, posts: Sequence[Any], outcome: Outcome) -> None:
    found = contents(services)
    outcome.sizes = {name: len(entries) for name, entries in found.items()}
    outcome.lost = [f"{name}: {state}" for name, state in found["work"].items() if state != "done"]
    outcome.lost += [f"letter: {letter}" for letter in found["letters"]]
    if len(found["posts"]) != len(posts) or len(found["work"]) != len(posts) * len(ITEM_STAGES):
        outcome.lost.append(f"{len(found['posts'])} posts, {len(found['work'])} rows of work")
    if len(found["points"]) != len(found["chunks"]):
        outcome.twice.append(f"{len(found['points'])} points of {len(found['chunks'])} chunks")
    arrivals = rows(services, schema.inbox)
    names = ("tenant_id", "source_key", "revised_at", "content_hash")
    outcome.twice += ["arrivals"] * (len(arrivals) - len({tuple(row[name] for name in names) for row in arrivals}))
    outcome.twice += find_inconsistencies(found)


@click.command()
@click.option("--items", default=20_000, show_default=True)
@click.option("--rate", default=0.1, show_default=True, help="Share of errors, and share of lost acknowledgements.")
@click.option("--seed", type=int, help="Drawn by default, and printed.")
def main(items: int, rate: float, seed: int | None) -> None:
    """Process posts with stores and providers that fail all the time."""
    configure_logging("CRITICAL")
    seed = SystemRandom().randrange(10_000) if seed is None else seed
    click.echo(f"seed {seed}")
    retries.FIRST_CALL_BACKOFF_S = SHORT_PAUSE_S
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_all(Path(folder), items, rate, seed)
    for what, count in sorted((outcome.thrown + outcome.providers).items()):
        click.echo(f"  {count} {what}")
    click.echo(f"failed runs: {dict(outcome.failed_runs)}, {outcome.seconds:.0f} s")
    click.echo(", ".join(f"{count} {name}" for name, count in outcome.sizes.items()))
    click.echo(f"lost {len(outcome.lost)}, duplicates or loose ends {len(outcome.twice)}")
    for line in [*outcome.lost, *outcome.twice][:50]:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.lost or outcome.twice))


if __name__ == "__main__":
    main()
