"""Sources change while workers are killed: in the end all stores hold the living, latest revisions and nothing else.

``python -m chatai_assets_tests.scenarios.sources --items 10000 --kills 30 --seed 1``

One item in a hundred is edited (one sentence of it), one deleted, one expires, in random order. Each worker takes in
some of that and kills itself at a random one of the commits and writes that it passes. A home that was given only the
final truth, undisturbed, must hold the same, and only chunks that changed may have been embedded.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import click

from chatai_assets.observability import configure_logging
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.crash_injection import ANYWHERE, call_line
from chatai_assets_tests.support.forked_workers import ENDED, WorkerForks, WorkerPlan, append_line, count_calls
from chatai_assets_tests.support.migrated_stores import empty_database
from chatai_assets_tests.support.pipeline import (
    NOON,
    Limits,
    contents,
    differences,
    find_inconsistencies,
    free_settings,
    ingest_files,
    ingest_posts,
    message,
    process_all,
    rows,
)
from chatai_assets_tests.support.server_processes import run_server

HOUR_S, DAY_S = 3_600, 86_400
LATER = NOON + 20 * DAY_S
AFTER = NOON + 30 * DAY_S + 1
"""When the first of those that came at noon have expired; one hour later those of one hour later."""
DOCUMENTS = 20
"""One item in so many is a document."""
LAST_OCCURRENCE = 40
"""A worker passes more commits and writes than that."""
CHANGES = ("edited", "deleted", "expired")
LIMITS = Limits(run_items=200_000)


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        items: posts and documents.
        share: of the posts that are edited, that are deleted and that expire, each; of documents none expires.
        kills: of workers that take in changes.
    """

    items: int
    kills: int
    seed: int
    share: float = 0.01


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        kills: how many workers were killed.
        changed: way -> items.
        embedded: texts that the embedder was asked, each time.
        again: how many of these had been asked before.
        in_flight: texts whose answers were not committed yet when a worker died.
        needless: texts that stand in no changed chunk.
        new_chunks: that stand in no original.
        faults: how both homes differ, and loose ends.
    """

    kills: int = 0
    changed: dict[str, int] = field(default_factory=dict)
    embedded: int = 0
    again: int = 0
    in_flight: int = 0
    needless: int = 0
    new_chunks: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_fine(self) -> bool:
        """Whether nothing is that must not be."""
        return not self.faults and not self.needless and self.again <= self.in_flight


class Sources:
    """Posts and documents, and what becomes of them.

    Args:
        folder: where documents lie; posts are handed over in files beside it.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._dice = Random(plan.seed)
        self._folder = folder
        self._beside = folder.parent
        documents = max(3, plan.items // DOCUMENTS)
        posts = corpus.posts(plan.seed, plan.items - documents)
        paths = corpus.write_documents(plan.seed, folder, documents)
        self.posts = self._parted(posts, plan.share, CHANGES)
        self.documents = self._parted([path for n, path in enumerate(paths) if n % 10 != 9], plan.share, CHANGES[:2])
        self.documents["untouched"] += paths[9::10]  # damaged ones
        self.edits = [self._edit(update["channel_post"]) for update in self.posts["edited"]]

    def _parted(self, sources: Sequence[Any], share: float, ways: Sequence[str]) -> dict[str, list[Any]]:
        count = max(1, round(len(sources) * share))
        shuffled = self._dice.sample(sources, len(sources))
        parted = {way: shuffled[at * count : (at + 1) * count] for at, way in enumerate(ways)}
        return parted | {"untouched": shuffled[len(ways) * count :]}

    def _edit(self, post: dict[str, Any]) -> Any:
        text, edited = self._other(post["text"]), corpus.BASE + 1_000_000
        return message(post["message_id"], text, date=post["date"], edited=edited, chat=post["chat"]["id"])

    def _other(self, text: str) -> str:
        sentences = text.split(". ")
        at = self._dice.randrange(len(sentences))
        sentences[at] = f"Теперь {self._dice.getrandbits(32):08x} London"
        return ". ".join(sentences)

    def edit_documents(self) -> None:
        """Write what is to be edited anew."""
        for path in self.documents["edited"]:
            path.write_text(self._other(path.read_text(encoding="utf-8")), encoding="utf-8")

    def changes(self, portions: int) -> Iterator[tuple[list[Path], list[str]]]:
        """Yield, in random order, files to take in and names of documents to forget."""
        deletions = [_deletion(update["channel_post"]) for update in self.posts["deleted"]]
        edited, forgotten = self.documents["edited"], [path.name for path in self.documents["deleted"]]
        all_of_it: list[Any] = [*self.edits, *deletions, *edited, *forgotten]
        self._dice.shuffle(all_of_it)
        for number in range(portions):
            some = all_of_it[number::portions]
            updates = [each for each in some if isinstance(each, dict)]
            file = self._beside / f"changes-{number:04}.jsonl"
            file.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in updates), encoding="utf-8")
            documents = [each for each in some if isinstance(each, Path)]
            yield [*([file] if updates else []), *documents], [each for each in some if isinstance(each, str)]


def _deletion(post: dict[str, Any]) -> Any:
    news = {"business_connection_id": "b", "chat": post["chat"], "message_ids": [post["message_id"]]}
    return {"update_id": 1_000_000_000 + post["message_id"], "deleted_business_messages": news}


def run(folder: Path, plan: Plan, servers: Mapping[str, str] | None = None) -> Outcome:
    """Let sources change in a home of a folder.

    Args:
        servers: variables that select servers for it; the home that it is compared with has embedded stores.
    """
    started, outcome, sources = time.monotonic(), Outcome(), Sources(folder / "files", plan)
    outcome.changed = {way: len(sources.posts[way]) + len(sources.documents.get(way, ())) for way in CHANGES}
    with Services(free_settings(folder / "changed", servers)) as services:
        _fill(services, sources, plan.kills + 1)
        originals = _embedded_texts(services)
        sources.edit_documents()
        ledger = folder / "ledger.txt"
        _change(services, servers or {}, sources, plan, ledger, outcome)
        found, new = contents(services), _embedded_texts(services) - originals
    with Services(free_settings(folder / "quiet")) as quiet:
        expected = _expected_contents(quiet, sources)
    outcome.new_chunks = len(new)
    _count_calls(ledger.read_text(encoding="ascii").splitlines(), new, outcome)
    outcome.faults = differences(expected, found) + find_inconsistencies(found)
    outcome.seconds = time.monotonic() - started
    return outcome


def _fill(services: Services, sources: Sources, hours: int) -> None:
    """Bring the originals in: those that expire over some hours, all others at once and later."""
    for number in range(hours):
        ingest_posts(services, sources.posts["expired"][number::hours], now=NOON + number * HOUR_S)
    lasting = (sources.posts[way] for way in ("edited", "deleted", "untouched"))
    ingest_posts(services, [post for posts in lasting for post in posts], now=LATER)
    ingest_files(services, [path for paths in sources.documents.values() for path in paths], now=LATER)
    process_all(services, limits=LIMITS)


def _expected_contents(services: Services, sources: Sources) -> dict[str, Any]:
    """Return what a home holds that was never told of anything but the end."""
    ingest_posts(services, sources.posts["untouched"], now=LATER)
    ingest_files(services, sources.documents["untouched"], now=LATER)
    ingest_posts(services, sources.edits, now=AFTER)
    ingest_files(services, sources.documents["edited"], now=AFTER)
    process_all(services, limits=LIMITS)
    return contents(services)


def _change(
    services: Services, servers: Mapping[str, str], sources: Sources, plan: Plan, ledger: Path, outcome: Outcome
) -> None:
    """Have one worker after the other take in some changes, sweep, and do what is due, killed all but the last."""
    keys = {row["file_name"]: row["source_key"] for row in rows(services, schema.documents)}
    forks, dice, waiting, forgotten = WorkerForks(), Random(plan.seed + 1), list[Path](), list[str]()
    for number, (files, names) in enumerate(sources.changes(plan.kills + 1)):
        waiting, forgotten = waiting + files, forgotten + [keys[name] for name in names]
        worker = WorkerPlan(
            services.settings.home,
            servers,
            waiting,
            ("documents", "posts"),
            ANYWHERE if number < plan.kills else None,
            ledger,
            occurrence=dice.randint(1, LAST_OCCURRENCE),
            now=AFTER,
            forgotten=forgotten,
            sweeps_at=AFTER + number * HOUR_S,
        )
        end = forks.run(worker)
        append_line(ledger, ENDED)
        outcome.kills += end.killed
        if end.took_in:
            waiting, forgotten = [], []


def _embedded_texts(services: Services) -> set[str]:
    return {call_line("embed", row["text"]) for row in rows(services, schema.chunks)}


def _count_calls(ledger: Sequence[str], new: set[str], outcome: Outcome) -> None:
    asked, outcome.in_flight = count_calls(ledger)
    times = {line: count for line, count in asked.items() if line.startswith("embed ")}
    outcome.embedded = sum(times.values())
    outcome.again = outcome.embedded - len(times)
    outcome.needless = len(times.keys() - new)


@click.command()
@click.option("--items", default=10_000, show_default=True)
@click.option("--share", default=0.01, show_default=True, help="Of items that are edited, deleted, and expire, each.")
@click.option("--kills", default=30, show_default=True)
@click.option("--seed", type=int, help="Drawn by default, and printed.")
@click.option("--postgresql", is_flag=True, help="Keep the records in a PostgreSQL that is started for this.")
def main(items: int, share: float, kills: int, seed: int | None, *, postgresql: bool) -> None:
    """Edit, delete and expire items while workers are killed, and compare with a home that knows only the end."""
    configure_logging("ERROR")
    seed = SystemRandom().randrange(10_000) if seed is None else seed
    click.echo(f"seed {seed}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {}
        if postgresql:
            servers = {
                "DATABASE_URL": stack.enter_context(empty_database(stack.enter_context(run_server("postgresql"))))
            }
        outcome = run(folder, Plan(items, kills, seed, share), servers)
    told = ", ".join(f"{count} {way}" for way, count in outcome.changed.items())
    click.echo(f"{told}; {outcome.kills} workers killed, {outcome.seconds:.0f} s")
    click.echo(
        f"{outcome.new_chunks} chunks changed; {outcome.embedded} texts embedded, {outcome.needless} without need, "
        f"{outcome.again} again; {outcome.in_flight} were in flight"
    )
    click.echo(f"{len(outcome.faults)} differences or loose ends")
    for line in outcome.faults[:50]:
        click.echo(f"  {line}")
    sys.exit(not outcome.is_fine or outcome.kills < kills)


if __name__ == "__main__":
    main()
