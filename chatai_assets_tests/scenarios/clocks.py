"""Clocks that jump two hours ahead and back, between claims and within them; the end must be that of right clocks.

``python -m chatai_assets_tests.scenarios.clocks --rounds 200 [--seed 1]``

Two workers share a home: the clock of one jumps, that of the other is right. Posts arrive by either clock, a provider
is busy now and then, and machines are lost whose clock was ahead when they claimed. The worker with the right clock
also does what upkeep does, and like the sensors it only works on hours that are partitions by its clock. Whatever the
other wrote into the future must be done within moments, not within hours.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random, SystemRandom
from typing import Any
from uuid import uuid4

import click

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.domain import retry as retries
from chatai_assets.domain.errors import ProviderBusy
from chatai_assets.domain.ids import hour_of
from chatai_assets.domain.stages import ITEM_STAGES, Stage
from chatai_assets.observability import configure_logging
from chatai_assets.operations.recovery import StalledDetector, fix_clock_skew, reclaim_abandoned, reclaim_stalled
from chatai_assets.services import Services, first_hour
from chatai_assets.storage import leases as claims
from chatai_assets.storage import schema
from chatai_assets.storage.leases import Claim
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.pipeline import (
    Limits,
    contents,
    differences,
    due_hours,
    find_inconsistencies,
    free_settings,
    ingest_posts,
    process_all,
    rows,
    run,
    stage_run_config,
)

JUMPS_S = (-7_200.0, 0.0, 7_200.0)
JUMP_SHARE = 0.2
"""Share of looks at the clock at which it jumps."""
BUSY_SHARE = 0.1
LAST = 10
"""Updates that arrive last, by a clock that is ahead for good."""
LEASE_S = 0.5
SHORT_PAUSE_S = 0.05
LASTING = {"CHATAI_POST_TTL_DAYS": "0"}
"""When a post expires depends on when it arrived."""
PATIENCE_S = 60.0
"""Far less than a jump."""
LIMITS = Limits(batch_items=20, projection_items=40, lease_s=LEASE_S, max_attempts=10)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        jumps: of the clock.
        seen: what was taken away, put right and freed -> how much.
        faults: what must not be.
    """

    jumps: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


class JumpyClock:
    """The time, or two hours more or less; it jumps where somebody looks at it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._off_s = 0.0
        self.jumps = 0

    def __call__(self) -> float:
        if self._random.random() < JUMP_SHARE:
            before, self._off_s = self._off_s, self._random.choice(JUMPS_S)
            self.jumps += before != self._off_s
        return time.time() + self._off_s


class BusyTagger:
    """A free tagger that is too busy for a question now and then."""

    def __init__(self, tagger: Any, random: Random, share: float = BUSY_SHARE) -> None:
        self._tagger = tagger
        self._random = random
        self._share = share
        self.model = tagger.model

    def tag(self, questions: Sequence[ModelInput]) -> list[Any]:
        """Return answers, or that it is busy."""
        said = self._tagger.tag(questions)
        return [ProviderBusy("The dice say so.") if self._random.random() < self._share else answer for answer in said]


def run_all(folder: Path, rounds: int, seed: int, posts: int = 60) -> Outcome:
    """Let a clock jump for some rounds of work, and compare with a home of right clocks."""
    started, random, outcome = time.monotonic(), Random(seed), Outcome()
    originals = corpus.posts(seed, posts)
    updates = [*originals, *corpus.edits(seed, originals, 0.5)]
    settings = {name: free_settings(folder / name, LASTING) for name in ("quiet", "jumpy")}
    with Services(settings["quiet"]) as quiet:
        ingest_posts(quiet, updates)
        process_all(quiet)
        expected = contents(quiet)
    clock = JumpyClock(random)
    with _with_short_backoff(), Services(settings["jumpy"]) as services, Services(settings["jumpy"]) as other:
        for each in (services, other):
            each.__dict__["tagger"] = BusyTagger(each.tagger, Random(seed))
        keeper = _Maintenance(services, outcome)
        share = -(-(len(updates) - LAST) // rounds)
        for number in range(rounds):
            now = random.choice((clock, time.time))()
            ingest_posts(other, updates[:-LAST][number * share : (number + 1) * share], now=now)
            _lose_machine(services, random.choice(ITEM_STAGES), clock)
            jumpy = threading.Thread(target=_work, args=(other, clock, outcome))
            jumpy.start()
            keeper.work()
            jumpy.join()
        _crash_with_clock_ahead(other, updates[-LAST:], outcome)
        keeper.finish()
        found = contents(services)
        outcome.faults += [f"an hour was invented: {hour}" for hour in _unexpected_hours(services)]
    outcome.jumps = clock.jumps
    outcome.faults += differences(expected, found) + find_inconsistencies(found)
    outcome.seconds = time.monotonic() - started
    return outcome


@contextmanager
def _with_short_backoff() -> Iterator[None]:
    """Let items wait for moments instead of half a minute, before they are tried again."""
    usual = retries.FIRST_ITEM_BACKOFF_S
    retries.FIRST_ITEM_BACKOFF_S = SHORT_PAUSE_S
    try:
        yield
    finally:
        retries.FIRST_ITEM_BACKOFF_S = usual


def _work(services: Services, clock: Callable[[], float], outcome: Outcome) -> None:
    """Do what is due by a clock that jumps."""
    for hour in due_hours(services, "posts", clock()):
        for stage in ITEM_STAGES:
            report = run(stage, replace(stage_run_config("posts", hour, LIMITS), clock=clock), services)
            outcome.seen["items taken from the worker whose clock jumps"] += report.lost
            outcome.faults += [f"blamed at {stage}: {name}" for name in report.failed]


def _crash_with_clock_ahead(services: Services, updates: Sequence[Any], outcome: Outcome) -> None:
    """Take in the last posts, put them off and lose a machine with them, all by a clock that is ahead and stays so."""

    def ahead() -> float:
        return time.time() + JUMPS_S[-1]

    services.__dict__["tagger"] = BusyTagger(services.tagger, Random(0), share=1.0)
    ingest_posts(services, updates, now=ahead())
    _work(services, ahead, outcome)
    time.sleep(2 * SHORT_PAUSE_S)
    _lose_machine(services, "tag", ahead)


def _lose_machine(services: Services, stage: Stage, clock: Callable[[], float]) -> None:
    """Claim as another machine would that is lost at once; what it claimed must not wait for its clock."""
    for hour in due_hours(services, "posts", clock())[:1]:
        now = clock()
        claim = Claim(f"another.1/77/1/{uuid4().hex}", "posts", stage, hour, 3, now, now + LEASE_S, "run")
        with services.records.begin() as connection:
            claims.claim(connection, claim)


class _Maintenance:
    """The worker whose clock is right, and upkeep."""

    def __init__(self, services: Services, outcome: Outcome) -> None:
        self._services = services
        self._outcome = outcome
        self._silence = StalledDetector()

    def work(self) -> None:
        """Put right what must be, and do what is due in the hours that are partitions."""
        records, now, seen = self._services.records, time.time(), self._outcome.seen
        seen["rows that were put right"] += fix_clock_skew(records, now, first_hour(self._services))
        seen["items of machines that were lost with clocks ahead"] += reclaim_stalled(
            records, self._silence, now, LEASE_S
        )
        reclaim_abandoned(records)
        partitions = [hour for hour in due_hours(self._services, "posts") if self._is_partition(hour)]
        for hour in partitions:
            for stage in ITEM_STAGES:
                report = run(stage, stage_run_config("posts", hour, LIMITS), self._services)
                seen["items taken from the worker whose clock is right"] += report.lost
                self._outcome.faults += [f"blamed at {stage}: {name}" for name in report.failed]

    def finish(self) -> None:
        """Work until nothing is left, for as long as it may take."""
        deadline = time.monotonic() + PATIENCE_S
        while rows(self._services, schema.work, schema.work.c.state.in_(("pending", "working"))):
            self.work()
            time.sleep(SHORT_PAUSE_S)
            if time.monotonic() > deadline:
                self._outcome.faults.append("items wait for a clock that was ahead")
                return

    def _is_partition(self, hour: str) -> bool:
        return first_hour(self._services) <= hour <= hour_of(time.time())


def _unexpected_hours(services: Services) -> set[str]:
    hours = {row["hour"] for row in rows(services, schema.work)}
    return {hour for hour in hours if not first_hour(services) <= hour <= hour_of(time.time() + JUMPS_S[-1])}


@click.command()
@click.option("--rounds", default=200, show_default=True)
@click.option("--posts", default=400, show_default=True)
@click.option("--seed", type=int, help="Drawn by default, and printed.")
def main(rounds: int, posts: int, seed: int | None) -> None:
    """Let the clock of a worker jump again and again, and compare the stores with those of right clocks."""
    configure_logging("CRITICAL")
    seed = SystemRandom().randrange(10_000) if seed is None else seed
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_all(Path(folder), rounds, seed, posts)
    for what, count in outcome.seen.items():
        click.echo(f"  {count} {what}")
    click.echo(f"{rounds} rounds, {outcome.jumps} jumps, {outcome.seconds:.0f} s")
    click.echo(f"{len(outcome.faults)} items blamed or waiting, differences or loose ends")
    for line in outcome.faults[:50]:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
