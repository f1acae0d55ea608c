"""A provider that answers 503 for hours, or knows no such model: what the sensors, the runs and the announcements do.

``python -m chatai_assets_tests.scenarios.long_outage --hours 3``

The sensors' own evaluation and real runs in this process, with a clock that is set: seconds pass as ticks do.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import dagster as dg
from sqlalchemy import select

from chatai_assets.domain import retry as retries
from chatai_assets.domain.circuit_breaker import REOPEN_WITHIN_S
from chatai_assets.domain.ids import STREAMS, Stream, hour_of
from chatai_assets.observability import configure_logging
from chatai_assets.orchestration.build import build_defs
from chatai_assets.orchestration.jobs.streams import run_hour_here
from chatai_assets.services import Services
from chatai_assets.storage import dead_letters, outages, schema
from chatai_assets.storage import work_queue as work
from chatai_assets_tests.support.pipeline import ingest_files, ingest_posts, message
from chatai_assets_tests.support.providers.home import open_services_at
from chatai_assets_tests.support.providers.http_server import Request, Response, serving
from chatai_assets_tests.support.providers.server import ProviderServer, provider_server

HOUR_S = 3_600.0
TICK_S = 30.0
ARRIVALS_EVERY_S = 600.0
CATCH_UP_S = 1_800.0
"""How long after the provider's return everything must be done."""
WRONG_MODEL = {"404": 1.0}
DOWN = {"503": 1.0}


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        hours: how long the provider is down, in hours of the clock that is set.
        posts: that arrive before it goes down, and again every ten minutes.
        documents: likewise.
        spoiled: how the provider behaves meanwhile.
    """

    hours: float = 3.0
    posts: int = 40
    documents: int = 3
    spoiled: dict[str, float] = field(default_factory=lambda: dict(DOWN))


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        red: stream -> failed runs.
        green: stream -> good runs.
        told: titles and texts that reached the webhook, in order.
        told_after_s: from the first failure to its announcement.
        caught_up_s: from the provider's return to the end of all work; None if it was not reached.
        states: state -> rows of work in the end.
        attempts: used up by all items together while it was down.
        letters: dead letters.
        calls: to models while it was down.
        reasons: a skip reason of each stream while it was down.
    """

    red: Counter[str] = field(default_factory=Counter)
    green: Counter[str] = field(default_factory=Counter)
    told: list[tuple[str, str]] = field(default_factory=list)
    told_after_s: float = 0.0
    caught_up_s: float | None = None
    states: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    letters: int = 0
    calls: int = 0
    reasons: dict[str, str] = field(default_factory=dict)


class Clock:
    """Goes only when it is told to."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class World:
    """A home, its sensors and its runs, as the daemon would drive them, at a clock that is set."""

    def __init__(self, services: Services, instance: dg.DagsterInstance, clock: Clock, folder: Path) -> None:
        self.services = services
        self.instance = instance
        self.clock = clock
        self.folder = folder
        self.defs = build_defs(services.settings, services=services, clock=clock)
        self.cursor: str | None = None
        self.outcome = Outcome()
        self.brought = 0
        self.said: dict[str, str] = {}

    def bring(self, posts: int, documents: int) -> None:
        """Have some posts and documents arrive now."""
        first, self.brought = self.brought + 1, self.brought + max(posts, documents)
        texts = [message(number, f"Поезд {number} видел Казань.") for number in range(first, first + posts)]
        ingest_posts(self.services, texts, now=self.clock())
        files = [self.folder / f"{number}.txt" for number in range(first, first + documents)]
        for file in files:
            file.write_text(f"Корабль {file.stem} видел Париж.", encoding="utf-8")
        ingest_files(self.services, files, now=self.clock())

    def tick(self) -> None:
        """Let all sensors look once, and do what they ask for."""
        for stream in STREAMS:
            result = self._evaluate(f"{stream}_due")
            self.said[stream] = result.skip_message or ""
            for request in result.run_requests or ():
                self._run(stream, request)
        result = self._evaluate("outages", self.cursor)
        self.cursor = result.cursor

    def _evaluate(self, name: str, cursor: str | None = None) -> Any:
        sensor = self.defs.resolve_sensor_def(name)
        return sensor.evaluate_tick(
            dg.build_sensor_context(instance=self.instance, definitions=self.defs, cursor=cursor)
        )

    def _run(self, stream: Stream, request: dg.RunRequest) -> None:
        hour = request.partition_key or ""
        outcome = run_hour_here(self.defs, stream, hour, self.instance, request.tags)
        (self.outcome.red if outcome.failure else self.outcome.green)[stream] += 1

    def unfinished(self) -> int:
        """Return how many items wait."""
        with self.services.records.reading() as connection:
            return sum(sum(work.open_hours(connection, stream).values()) for stream in STREAMS)

    def downs(self) -> int:
        """Return how many outages last."""
        with self.services.records.reading() as connection:
            return len(outages.open_outages(connection))

    def take_stock(self) -> None:
        """Note what all work has come to."""
        with self.services.records.reading() as connection:
            self.outcome.states = dict(Counter(connection.execute(select(schema.work.c.state)).scalars()))
            self.outcome.letters = dead_letters.count_open(connection)


@contextmanager
def webhook() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Run a webhook; give its address for apprise, and what it is told."""
    told: list[tuple[str, str]] = []

    async def take(request: Request) -> Response:
        said = json.loads(request.body)
        told.append((said["title"], said["message"]))
        return Response({})

    with serving(take) as port:
        yield f"json://127.0.0.1:{port}/hook", told


@contextmanager
def world(folder: Path, hours: float) -> Iterator[tuple[World, ProviderServer]]:
    """Open a home whose models are all at one local provider, and whose clock stands some hours ago."""
    start = (time.time() - (hours + 2) * HOUR_S) // HOUR_S * HOUR_S + 60
    retries_before, retries.FIRST_CALL_BACKOFF_S = (
        retries.FIRST_CALL_BACKOFF_S,
        0.005,
    )  # real seconds; all others are the clock's
    variables = {"CHATAI_EXTRACTOR": "gigachat", "CHATAI_FIRST_HOUR": hour_of(start - HOUR_S)}
    try:
        with ExitStack() as stack:
            server = stack.enter_context(provider_server())
            url, told = stack.enter_context(webhook())
            services = stack.enter_context(open_services_at(server, folder / "home", **variables, CHATAI_ANNOUNCE=url))
            instance = stack.enter_context(dg.DagsterInstance.ephemeral())
            found = World(services, instance, Clock(start), folder)
            configure_logging("CRITICAL")
            found.outcome.told = told
            yield found, server
    finally:
        retries.FIRST_CALL_BACKOFF_S = retries_before


def long_outage(folder: Path, plan: Plan) -> Outcome:
    """Let the provider be down for a while, and return what came of it."""
    with world(folder, plan.hours) as (home, server):
        outcome = home.outcome
        home.bring(plan.posts, plan.documents)
        server.behave(shares=plan.spoiled)
        begun, calls = home.clock.now, len(server.arrivals)
        while home.clock.now < begun + plan.hours * HOUR_S:
            home.tick()
            if not outcome.told_after_s and outcome.told:
                outcome.told_after_s = home.clock.now - begun + TICK_S
            home.clock.now += TICK_S
            if (home.clock.now - begun) % ARRIVALS_EVERY_S == 0:
                home.bring(plan.posts, plan.documents)
        outcome.calls, outcome.reasons = len(server.arrivals) - calls, {**home.said}
        with home.services.records.reading() as connection:
            outcome.attempts = sum(connection.execute(select(schema.work.c.attempts)).scalars())
        _recover(home, server)
        return outcome


def _recover(home: World, server: ProviderServer) -> None:
    """Let the provider be back, and look how long it takes until all is done and people know."""
    server.behave()
    returned = home.clock.now
    ends = returned + CATCH_UP_S
    while home.clock.now < ends:
        home.tick()
        home.clock.now += TICK_S
        if home.outcome.caught_up_s is None and not home.unfinished():
            home.outcome.caught_up_s = home.clock.now - returned
            ends = home.clock.now + 3 * REOPEN_WITHIN_S
    home.take_stock()


def wrong_model(folder: Path, posts: int, hours: float = 0.25) -> Outcome:
    """Ask for a model that the provider does not know, for so many posts; then mend it."""
    return long_outage(folder, Plan(hours=hours, posts=posts, documents=0, spoiled=dict(WRONG_MODEL)))


@click.command()
@click.option("--hours", default=3.0, show_default=True)
@click.option("--posts", default=500, show_default=True, help="Of the part with the wrong model.")
def main(hours: float, posts: int) -> None:
    """Print what came of both outages as JSON."""
    logging.disable(logging.INFO)
    for name, begin in (
        (f"{hours:g} h of 503", lambda folder: long_outage(folder, Plan(hours))),
        (f"a wrong model name, {posts} posts", lambda folder: wrong_model(folder, posts)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            outcome = begin(Path(folder))
        told = {"scenario": name, "seconds": round(time.monotonic() - started, 1), **vars(outcome)}
        click.echo(json.dumps(told, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
