"""Another model comes to serve while posts arrive, are edited and forgotten, people search, and fillers are killed.

``python -m chatai_assets_tests.scenarios.reindex --items 10000 --searches-per-second 5 --kills 10 --seed 1``

A bad model is refused first, then a good one of other dimensions is filled by processes that are killed at random
moments until one of them lets it serve; then comes the way back. At each swap the index that serves must hold exactly
what the record store says, and every search that was made meanwhile must have found what it asked for.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random
from typing import Any

import click

from chatai_assets.domain.errors import ChatAIError
from chatai_assets.observability import configure_logging
from chatai_assets.operations.audit.audit import audit
from chatai_assets.operations.erasure import Stores, forget
from chatai_assets.operations.reindexing import abort
from chatai_assets.services import Services
from chatai_assets.settings import Settings
from chatai_assets.storage import schema
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.crash_injection import CallLoggingModel, call_line
from chatai_assets_tests.support.forked_workers import PRELOADED_MODULES
from chatai_assets_tests.support.pipeline import find_chunks, free_settings, ingest_posts, message, process_all, rows
from chatai_assets_tests.support.reindexing import reindex_context, run_reindex, run_rollback

GOOD, BAD = "free:512", "free:2"
LIGHTHOUSES = 20
"""Posts that are neither edited nor forgotten, and that the searches ask for."""
PORTION = 2_000
PAUSE_S = 0.2
SEARCHERS = 4
PATIENCE_S = 3_600.0


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        changes: how many posts arrive and are edited in one round beside the filling; one is forgotten.
        lives_s: bounds of the time after which fillers are killed.
    """

    items: int
    searches_per_second: float
    kills: int
    seed: int
    changes: int = 20
    lives_s: tuple[float, float] = (1.0, 10.0)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        refused: why the bad model does not serve.
        kills: how many fillers were killed before one came to its end.
        rounds: of arrivals, edits and deletions meanwhile.
        embedded: texts that the good model was asked.
        twice: how many of them more than once: what killed fillers had in hand.
        again: how many of them though their vector was kept.
        waits_s: how long each search took.
        faults: searches that failed or missed what they asked for, and whatever the stores hold wrongly.
    """

    refused: str = ""
    kills: int = 0
    rounds: int = 0
    embedded: int = 0
    twice: int = 0
    again: int = 0
    back_embedded: int = 0
    filling_s: float = 0.0
    reindexing_s: float = 0.0
    back_s: float = 0.0
    searched_s: float = 0.0
    waits_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(folder: Path, plan: Plan, servers: Mapping[str, str] | None = None) -> Outcome:
    """Let another model serve in a home of a folder, and the first one again."""
    outcome, settings = Outcome(), free_settings(folder / "home", servers)
    with Services(settings) as services:
        started = time.monotonic()
        _fill(services, plan)
        outcome.filling_s = time.monotonic() - started
        with _run_searches(folder, plan, servers or {}, outcome):
            _refuse(services, outcome)
            with _run_arrivals(settings, plan, plan.seed, outcome):
                _switch(folder, services, plan, servers or {}, outcome)
            _check(services, "after the swap", outcome)
            started = time.monotonic()
            with _run_arrivals(settings, plan, plan.seed + 1, outcome):
                outcome.back_embedded = run_rollback(services).filled.counts["texts_embedded"]
            outcome.back_s = time.monotonic() - started
            _check(services, "after the way back", outcome)
    return outcome


def _fill(services: Services, plan: Plan) -> None:
    posts = corpus.posts(plan.seed, plan.items - LIGHTHOUSES)
    posts += [message(1_000_000 + n, _lighthouse(n)) for n in range(LIGHTHOUSES)]
    for start in range(0, len(posts), PORTION):
        ingest_posts(services, posts[start : start + PORTION], now=time.time())
        process_all(services)


def _lighthouse(number: int) -> str:
    return f"Маяк {Random(number).getrandbits(48):012x} светит над бухтой {number}."


def _refuse(services: Services, outcome: Outcome) -> None:
    done = run_reindex(services, BAD)
    outcome.refused = done.refused
    if done.serves or services.indexes.serving_now().number != 1:
        outcome.faults.append("the bad model serves")
    abort(reindex_context(services))


def _switch(folder: Path, services: Services, plan: Plan, servers: Mapping[str, str], outcome: Outcome) -> None:
    """Have processes fill and swap, each killed after a while but the last."""
    context, random = _processes(), Random(plan.seed)
    calls, started = folder / "calls", time.monotonic()
    calls.touch()
    while services.indexes.serving_now().number == 1 and time.monotonic() - started < PATIENCE_S:
        life_s = random.uniform(*plan.lives_s) if outcome.kills < plan.kills else PATIENCE_S
        asked = calls.read_text(encoding="ascii").splitlines()
        kept = _stored_keys(services)
        outcome.kills += _run_filler(context, folder, servers, calls, life_s)
        outcome.again += len(kept & {*calls.read_text(encoding="ascii").splitlines()[len(asked) :]})
    outcome.reindexing_s = time.monotonic() - started
    asked = calls.read_text(encoding="ascii").splitlines()
    outcome.embedded, outcome.twice = len(asked), len(asked) - len({*asked})


def _processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED_MODULES])
    return context


def _stored_keys(services: Services) -> set[str]:
    """Return what stands in the ledger of calls for each text whose vector by the good model is kept."""
    model = services.resolve_embedder(GOOD)[1].model
    kept = {row["text_hash"] for row in rows(services, schema.vectors, schema.vectors.c.model == model)}
    return {call_line("embed", row["text"]) for row in rows(services, schema.chunks) if row["text_hash"] in kept}


def _run_filler(
    context: ForkServerContext,
    folder: Path,
    servers: Mapping[str, str],
    calls: Path,
    life_s: float,
) -> int:
    """Let a process fill; return 1 if it had to be killed."""
    process = context.Process(target=_fill_index, args=(folder / "home", servers, calls))
    process.start()
    process.join(life_s)
    killed = process.is_alive()
    process.kill()
    process.join()
    if not killed and process.exitcode:
        raise RuntimeError(f"A filler ended with {process.exitcode}.")
    return int(killed)


def _fill_index(home: Path, servers: Mapping[str, str], calls: Path) -> None:
    configure_logging("ERROR")
    with Services(free_settings(home, servers)) as services:
        _count(services, calls)
        run_reindex(services, GOOD)


def _count(services: Services, calls: Path) -> None:
    """Note in a file what the good model is asked to embed of what the home holds; questions are no such texts."""
    made = services.resolve_embedder
    _, model = made(GOOD)
    counted = CallLoggingModel(model, "embed", calls)
    opened = services.indexes.opened

    def with_counted(index: Any) -> Any:
        found = opened(index)
        return type(found)(found.about, found.vectors, (lambda: counted, found.embedders[1]))

    services.indexes.opened = with_counted  # type: ignore[method-assign] # what the stage asks for what it fills


@contextmanager
def _run_arrivals(settings: Settings, plan: Plan, seed: int, outcome: Outcome) -> Iterator[None]:
    """Bring, edit and forget posts until the block ends, at least once."""
    over = threading.Event()

    def come() -> None:
        with Services(settings) as services:
            arrivals = _Arrivals(services, plan, Random(seed))
            try:
                while not over.wait(PAUSE_S) or not arrivals.rounds:
                    arrivals.come()
            except Exception as error:
                outcome.faults.append(f"arrivals: {type(error).__name__}: {error}")
                raise
            outcome.rounds += arrivals.rounds

    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Arrivals:
    """Posts that come, are edited and are forgotten, beside whatever else goes on."""

    def __init__(self, services: Services, plan: Plan, random: Random) -> None:
        self.services = services
        self.random = random
        self.changes = plan.changes
        self.rounds = 0
        self._next = 2_000_000 + random.randrange(1_000) * 1_000_000

    def come(self) -> None:
        """Bring some posts, edit others, forget one, and do the work of that."""
        known = [row for row in rows(self.services, schema.posts) if row["message_id"] < 1_000_000]
        chosen = self.random.sample(known, min(self.changes, len(known)))
        edited = [self._edit(row) for row in chosen[1:]]
        fresh = [message(self._number(), corpus.text(self.random, n, 30)) for n in range(self.changes)]
        ingest_posts(self.services, [*fresh, *edited], now=time.time())
        stores = Stores(self.services.records, self.services.blobs, self.services.indexes, self.services.graph)
        forget(stores, chosen[0]["source_key"])
        process_all(self.services)
        self.rounds += 1

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _edit(self, row: Mapping[str, Any]) -> Any:
        words = corpus.text(self.random, row["message_id"], 40)
        date = max(row["revised_at"], 1_800_000_000) + 1
        return message(row["message_id"], words, edited=date, chat=row["chat_id"])


@contextmanager
def _run_searches(folder: Path, plan: Plan, servers: Mapping[str, str], outcome: Outcome) -> Iterator[None]:
    """Have people search, so many times a second, each in a process of their own, until the block ends."""
    context = _processes()
    over, started = context.Event(), time.monotonic()
    people = [
        _start_searcher(context, (number, folder / "home", servers, plan, started, over)) for number in range(SEARCHERS)
    ]
    try:
        yield
    finally:
        over.set()
        outcome.searched_s = time.monotonic() - started
        for process, told in people:
            try:
                waits_s, faults = told.recv()
            except EOFError:
                waits_s, faults = [], ["a searcher died"]
            outcome.waits_s += waits_s
            outcome.faults += faults
            process.join()


def _start_searcher(context: ForkServerContext, arguments: tuple[Any, ...]) -> tuple[ForkServerProcess, Connection]:
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=_searcher, args=(*arguments, its))
    process.start()
    its.close()  # so that its death is seen
    return process, ours


def _searcher(
    number: int, home: Path, servers: Mapping[str, str], plan: Plan, started: float, over: Event, told: Connection
) -> None:
    """Search when it is this one's turn; tell at the end how long each search took, and the faults."""
    configure_logging("ERROR")
    waits_s: list[float] = []
    faults: list[str] = []
    try:
        with Services(free_settings(home, servers)) as services:
            turn = number
            while not over.wait(max(0.0, started + turn / plan.searches_per_second - time.monotonic())):
                began = time.monotonic()
                faults += _faults(services, Random(plan.seed + turn).randrange(LIGHTHOUSES))
                waits_s.append(time.monotonic() - began)
                turn += SEARCHERS
    except BaseException as error:
        faults.append(f"searcher: {type(error).__name__}: {error}")
        raise
    finally:
        told.send((waits_s, faults))


def _faults(services: Services, number: int) -> list[str]:
    """Ask for a lighthouse; what is not found, or fails, is a fault."""
    try:
        found = [hit.source for hit in find_chunks(services, _lighthouse(number))]
    except ChatAIError as error:
        return [f"search: {type(error).__name__}: {error}"]
    return [] if any(one.endswith(f"/{1_000_000 + number}") for one in found) else [f"search: no lighthouse {number}"]


def _check(services: Services, when: str, outcome: Outcome) -> None:
    """Compare the index that serves with the record store: no item lacks, none is stale, none too many."""
    process_all(services)
    index = services.indexes.serving()
    held = {(payload["source"], payload["part"], payload["ordinal"]) for _, payload in index.vectors.points()}
    wanted = {(row["source_key"], row["part"], row["ordinal"]) for row in rows(services, schema.chunks)}
    outcome.faults += [f"{when} missing: {place}" for place in wanted - held]
    outcome.faults += [f"{when} stale: {place}" for place in held - wanted]
    vectors, _ = services.audited
    report = audit(services.records, vectors)
    outcome.faults += [f"{when} audit: {dict(report.differences)}"] if not report.agrees else []


@click.command()
@click.option("--items", default=10_000, show_default=True)
@click.option("--searches-per-second", default=5.0, show_default=True)
@click.option("--kills", default=10, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(items: int, searches_per_second: float, kills: int, seed: int) -> None:
    """Let another model serve beside arrivals, edits, deletions, searches and kills."""
    configure_logging("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), Plan(items, searches_per_second, kills, seed))
    waits = sorted(outcome.waits_s)
    click.echo(f"seed {seed}: {items} items in {outcome.filling_s:.1f} s; the bad model: {outcome.refused}")
    click.echo(
        f"{outcome.kills} kills, {outcome.rounds} rounds of changes, serving after {outcome.reindexing_s:.1f} s; "
        f"{outcome.embedded} texts embedded, {outcome.twice} of them twice, {outcome.again} though they were kept"
    )
    click.echo(f"the way back: {outcome.back_s:.1f} s, {outcome.back_embedded} texts embedded")
    click.echo(
        f"{len(waits)} searches in {outcome.searched_s:.1f} s, median {waits[len(waits) // 2]:.2f} s, "
        f"longest {waits[-1]:.2f} s, {len(outcome.faults)} faults"
    )
    for line in outcome.faults[:30]:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.faults or outcome.again or not outcome.refused))


if __name__ == "__main__":
    main()
