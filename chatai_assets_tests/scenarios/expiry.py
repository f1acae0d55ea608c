"""Posts expire while the removing process is killed repeatedly: each post is removed once, the others stay.

``python -m chatai_assets_tests.scenarios.expiry --posts 100000 --kills 10 --seed 1``

Two homes get the same young posts and the same edits, one of them many more posts that expire. Processes remove these
and are killed at random moments; after each kill some posts are edited, gone ones among them. In the end both homes
must hold the same.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from typing import Any

import click

from chatai_assets.observability import configure_logging
from chatai_assets.operations.erasure import Stores
from chatai_assets.operations.expiry import BATCH_ITEMS, CHECKPOINT, expire
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets.storage.key_values import get_value
from chatai_assets.storage.tombstones import pending_erasures
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.forked_workers import PRELOADED_MODULES
from chatai_assets_tests.support.migrated_stores import empty_database
from chatai_assets_tests.support.pipeline import (
    NOON,
    contents,
    differences,
    find_inconsistencies,
    free_settings,
    ingest_posts,
    message,
    process_all,
    rows,
)
from chatai_assets_tests.support.server_processes import run_server

DAY_S = 86_400
LATER = NOON + 20 * DAY_S
AFTER = NOON + 31 * DAY_S
CHANNELS = 20
EDITS_A_KILL = 3
LOOK_S = 0.02
PATIENCE_S = 3_600.0
PORTION = 10_000
"""Posts of one file of updates."""


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        posts: that expire.
        rest: that do not.
    """

    posts: int
    kills: int
    seed: int
    rest: int = 100
    batch_items: int = BATCH_ITEMS


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        kills: items that were gone at each kill.
        in_hand: items marked but not erased at each kill.
        removed: items that the sweep counted.
        saved: posts that were edited before they had left, and so never left.
        revived: posts that were edited after they had left.
        twice: items that were counted without having left then.
        faults: how both homes differ, and loose ends.
        peak_bytes: resident memory of the largest process that removed posts, over that which it began with.
    """

    kills: list[int] = field(default_factory=list)
    in_hand: list[int] = field(default_factory=list)
    removed: int = 0
    resumed: int = 0
    saved: int = 0
    revived: int = 0
    twice: int = 0
    faults: list[str] = field(default_factory=list)
    peak_bytes: int = 0
    filling_s: float = 0.0
    sweeping_s: float = 0.0


def run(folder: Path, plan: Plan, servers: Mapping[str, str] | None = None) -> Outcome:
    """Let posts expire in a home of a folder.

    Args:
        servers: variables that select servers for it; the home that it is compared with has embedded stores.
    """
    random, outcome = Random(plan.seed), Outcome()
    old, young = _posts(random, 0, plan.posts), _posts(random, plan.posts, plan.rest)
    with (
        Services(free_settings(folder / "quiet")) as quiet,
        Services(free_settings(folder / "killed", servers)) as services,
    ):
        started = time.monotonic()
        _fill(services, old, NOON)
        for home in (quiet, services):
            _fill(home, young, LATER)
        outcome.filling_s = time.monotonic() - started
        edits = _sweep(random, plan, services, servers or {}, old, outcome)
        for home in (quiet, services):
            process_all(home, now=AFTER)
        ingest_posts(quiet, edits, now=AFTER)
        process_all(quiet, now=AFTER)
        outcome.twice = abs(outcome.removed - (plan.posts - outcome.saved))
        outcome.twice += abs(len(rows(services, schema.tombstones)) - (plan.posts - len(edits)))
        found = contents(services)
        outcome.faults = differences(contents(quiet), found) + find_inconsistencies(found)
    return outcome


def _posts(random: Random, first: int, count: int) -> list[Any]:
    """Return posts of some channels; two in a hundred say what others say."""
    texts = [corpus.text(random, first + n, 30) if n % 50 else "Запись. Тогда Москва." for n in range(count)]
    return [
        message(first + n + 1, text, date=corpus.BASE + first + n, chat=_chat(first + n + 1))
        for n, text in enumerate(texts)
    ]


def _chat(number: int) -> int:
    return -1_000_000_000_100 - number % CHANNELS


def _fill(services: Services, posts: Sequence[Any], now: float) -> None:
    for start in range(0, len(posts), PORTION):
        ingest_posts(services, posts[start : start + PORTION], now=now)
        process_all(services, now=now)


def _sweep(
    random: Random, plan: Plan, services: Services, servers: Mapping[str, str], old: Sequence[Any], outcome: Outcome
) -> list[Any]:
    """Have processes remove what expired until one comes to its end; return the edits that arrived meanwhile."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED_MODULES])
    moments = sorted(random.randrange(_last_moment(plan)) for _ in range(plan.kills))
    candidates = iter(random.sample(old, plan.kills * EDITS_A_KILL))
    edits: list[Any] = []
    while True:
        ours, its = context.Pipe(duplex=False)
        arguments = (services.settings.home, servers, plan.batch_items, its)
        process = context.Process(target=_remove, args=arguments, daemon=False)
        started = time.monotonic()
        process.start()
        its.close()
        ours.recv()
        killed = _watch(
            process, services, moments[len(outcome.kills)] if moments[len(outcome.kills) :] else None, random
        )
        process.join(PATIENCE_S)
        outcome.sweeping_s += time.monotonic() - started
        if not killed:
            with ours:
                outcome.removed, outcome.resumed, outcome.peak_bytes = ours.recv()
            return edits
        ours.close()
        outcome.kills.append(_count_gone(services))
        with services.records.reading() as connection:
            outcome.in_hand.append(len(pending_erasures(connection, plan.posts)))
        news = [_edit(random, next(candidates)) for _ in range(EDITS_A_KILL)]
        _count(services, news, outcome)
        ingest_posts(services, news, now=AFTER)
        edits += news


def _last_moment(plan: Plan) -> int:
    """Return how many items may be gone at a kill that surely comes before the end: it waits for 1.2 batches more."""
    return plan.posts - plan.kills * EDITS_A_KILL - 3 * plan.batch_items


def _remove(home: Path, servers: Mapping[str, str], batch_items: int, says: Connection) -> None:
    """Remove what expired, in a process of its own that says when it begins and what came of it."""
    configure_logging("ERROR")
    before = _resident()
    with Services(free_settings(home, servers)) as services, says:
        stores = Stores(services.records, services.blobs, services.indexes, services.graph)
        says.send("begins")
        sweep = expire(stores, batch_items=batch_items, clock=lambda: AFTER)
        says.send((sweep.items, sweep.resumed, _resident() - before))


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _watch(process: ForkServerProcess, services: Services, moment: int | None, random: Random) -> bool:
    """Kill a process a moment after so many items are gone; return whether it had not ended before."""
    if moment is None:
        return False
    seen, looked, batch_s = _count_gone(services), time.monotonic(), LOOK_S
    while process.is_alive():
        gone = _count_gone(services)
        if gone > seen:
            batch_s, seen, looked = time.monotonic() - looked, gone, time.monotonic()
        if gone >= moment:
            time.sleep(random.uniform(0, 1.2 * batch_s))
            process.kill()
            process.join(PATIENCE_S)
            return process.exitcode == -9
        time.sleep(LOOK_S)
    return False


def _count_gone(services: Services) -> int:
    """Return how many items the sweep has counted so far."""
    with services.records.reading() as connection:
        told = get_value(connection, CHECKPOINT)
    return sum(told["tenants"].values()) if told else 0


def _edit(random: Random, update: Any) -> Any:
    post = update["channel_post"]
    words = corpus.text(random, post["message_id"], 40)
    return message(
        post["message_id"], words, date=post["date"], edited=corpus.BASE + 1_000_000, chat=post["chat"]["id"]
    )


def _count(services: Services, edits: Sequence[Any], outcome: Outcome) -> None:
    """Count how far the posts that are about to be edited have left."""
    left = {row["source_key"] for row in rows(services, schema.tombstones, schema.tombstones.c.erased_at.is_not(None))}
    posts = (update["edited_channel_post"] for update in edits)
    late = [f"tg/{post['chat']['id']}/{post['message_id']}" in left for post in posts]
    outcome.revived += sum(late)
    outcome.saved += len(late) - sum(late)


@click.command()
@click.option("--posts", default=100_000, show_default=True)
@click.option("--rest", default=5_000, show_default=True, help="Posts that do not expire.")
@click.option("--kills", default=10, show_default=True)
@click.option("--batch", default=BATCH_ITEMS, show_default=True, help="Posts of one transaction.")
@click.option("--seed", default=1, show_default=True)
@click.option("--postgresql", is_flag=True, help="Keep the records in a PostgreSQL that is started for this.")
def main(posts: int, rest: int, kills: int, batch: int, seed: int, *, postgresql: bool) -> None:
    """Kill the removal of expired posts repeatedly, and compare the stores with those of an undisturbed home."""
    configure_logging("ERROR")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {}
        if postgresql:
            servers = {
                "DATABASE_URL": stack.enter_context(empty_database(stack.enter_context(run_server("postgresql"))))
            }
        outcome = run(folder, Plan(posts, kills, seed, rest, batch), servers)
    click.echo(f"seed {seed}: {posts + rest} posts brought in {outcome.filling_s:.0f} s")
    click.echo(f"killed {len(outcome.kills)} times, with {outcome.kills} gone and {outcome.in_hand} in hand")
    click.echo(
        f"{outcome.removed} removed in {outcome.sweeping_s:.0f} s and {outcome.resumed + 1} sweeps, {outcome.twice} "
        f"twice; edited before they left {outcome.saved}, after {outcome.revived}"
    )
    click.echo(
        f"{outcome.peak_bytes / 2**20:.0f} MB more than at the start, {len(outcome.faults)} differences or loose ends"
    )
    for line in outcome.faults[:50]:
        click.echo(f"  {line}")
    sys.exit(bool(outcome.faults or outcome.twice or len(outcome.kills) < kills))


if __name__ == "__main__":
    main()
