"""A home that is processed, crashes and restarts, and the comparison of its stores with the expected contents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.domain.errors import InvalidModelResponse
from chatai_assets.domain.ids import post_key
from chatai_assets.domain.stages import ITEM_STAGES, Stage
from chatai_assets.operations import status as overview
from chatai_assets.services import Services
from chatai_assets.storage import leases as claims
from chatai_assets.storage import schema
from chatai_assets_tests.support.crash_injection import CRASH_POINTS, CrashingRecords, CrashPlan, inject_crashes
from chatai_assets_tests.support.forked_workers import WorkerForks, WorkerPlan
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    due_hours,
    free_settings,
    ingest_posts,
    message,
    rows,
    run,
    stage_run_config,
)
from chatai_assets_tests.support.pipeline_model import (
    POISON,
    Model,
    expected_chunks,
    expected_parts,
    expected_points,
    expected_tags,
)

BASE_DATE = 1_700_000_000
MAX_ROUNDS = 30
"""Rounds after which nothing may be due."""
KILL_POINTS = (
    *CRASH_POINTS,
    *(
        f"posts {stage} {step}, {when} its commit"
        for stage in ITEM_STAGES
        for step in ("claimed", "commit")
        for when in ("before", "after")
    ),
)
"""Where separate worker processes are killed."""


class SimulatedCrash(BaseException):
    """Simulates the end of a process: nothing is committed after it."""


class RaisingCrashPlan(CrashPlan):
    """Raises ``SimulatedCrash`` at the n-th point that is reached, and at every later one."""

    def __init__(self) -> None:
        super().__init__(None)
        self.until: int | None = None

    def reach(self, point: str) -> None:  # noqa: ARG002 - any point will do
        if self.until is not None:
            self.until -= 1
            if self.until < 0:
                raise SimulatedCrash


class RaisingRecords(CrashingRecords):
    """A record store that can crash at its commits and refuses transactions after a crash."""

    def __init__(self, records: Any, crash_plan: RaisingCrashPlan) -> None:
        super().__init__(records, crash_plan)
        self._crashing = crash_plan

    def begin(self) -> AbstractContextManager[Any]:
        if self._crashing.until is not None and self._crashing.until < 0:
            raise SimulatedCrash
        return self._transaction("transaction")


class RefusingTagger:
    """A tagger that refuses some texts while a switch is on."""

    def __init__(self, tagger: Any, refuses: Callable[[str], bool]) -> None:
        self._tagger = tagger
        self._refuses = refuses
        self.model = tagger.model

    def tag(self, questions: Sequence[ModelInput]) -> list[Any]:
        answers = self._tagger.tag(questions)
        refusal = InvalidModelResponse("The tagger is in a mood.")
        return [
            refusal if self._refuses(question.text) else answer
            for question, answer in zip(questions, answers, strict=True)
        ]


class SimulatedHome:
    """A home under test; every method leaves it in a state that a user could find.

    Attributes:
        model: the expected contents.
        now: the clock, in epoch seconds.
        poisoned: whether the tagger refuses texts with ``POISON``.
    """

    def __init__(self, home: Path, forks: WorkerForks) -> None:
        self.model = Model()
        self.now = NOON
        self.poisoned = False
        self._home = home
        self._forks = forks
        self._open()

    def _open(self) -> None:
        self._services = Services(free_settings(self._home))
        self._crash_plan = RaisingCrashPlan()
        self._services.__dict__["records"] = RaisingRecords(self._services.records, self._crash_plan)
        inject_crashes(self._services, self._crash_plan)
        moody = RefusingTagger(self._services.tagger, lambda text: self.poisoned and POISON in text)
        self._services.__dict__["tagger"] = moody

    def close(self) -> None:
        """Close all stores."""
        self._services.close()

    def arrive(self, tenant: str, number: int, text: str, date: int, crash: int | None) -> None:
        """Ingest a revision; after a crash, before or after the commit, ingest it again."""
        update = message(number, text, date=BASE_DATE, edited=BASE_DATE + 1 + date)
        self._crash_plan.until = crash
        try:
            ingest_posts(self._services, [update], tenant=tenant, now=self.now)
        except SimulatedCrash:
            self._begin_again(by_lease=False)
            ingest_posts(self._services, [update], tenant=tenant, now=self.now)
        self._crash_plan.until = None
        self.model.arrive(tenant, number, text, date, self.now)

    def run_stage(self, stage: str) -> None:
        """Run one stage for every due hour."""
        wanted: Stage = next(known for known in ITEM_STAGES if known == stage)
        for hour in due_hours(self._services, "posts", self.now):
            run(wanted, stage_run_config("posts", hour, now=self.now), self._services)

    def process(self) -> None:
        """Run all stages once for every due hour."""
        for hour in due_hours(self._services, "posts", self.now):
            for stage in ITEM_STAGES:
                run(stage, stage_run_config("posts", hour, now=self.now), self._services)

    def crash(self, moment: int, *, by_lease: bool) -> None:
        """Process until the n-th point, then free the claims: as those of a dead owner, or when their lease expires."""
        self._crash_plan.until = moment
        with suppress(SimulatedCrash):
            self.process()
        self._begin_again(by_lease=by_lease)

    def _begin_again(self, *, by_lease: bool) -> None:
        self.close()
        self._open()
        if by_lease:
            self.now += 61.0
        else:
            self._free_claims()

    def _free_claims(self) -> None:
        with self._services.records.begin() as connection:
            claims.reclaim_dead(connection, lambda _owner: True)

    def restart(self, point: str | None) -> None:
        """Restart; if a point is given, first run a separate worker that is killed there."""
        if point:
            worker = WorkerPlan(self._home, {}, [], ("posts",), point, self._home / "ledger.txt")
            self._forks.run(worker)
        self._begin_again(by_lease=False)

    def redo(self, tenant: str, number: int, moment: int) -> None:
        """Redo a post from some stage on, if it has reached that stage."""
        with suppress(overview.ItemNotFound):
            self._redo(tenant, post_key(CHAT, number), ITEM_STAGES[moment % len(ITEM_STAGES)])

    def replay(self) -> None:
        """Replay all open dead letters."""
        for letter in rows(self._services, schema.worker_dlq, schema.worker_dlq.c.resolved.is_(False)):
            self._redo(letter["tenant_id"], letter["source_key"], letter["job_name"])

    def _redo(self, tenant: str, source_key: str, stage: Stage) -> None:
        overview.redo(self._services.records, source_key, tenant_id=tenant, stage=stage, clock=lambda: self.now)

    def settle(self) -> None:
        """Process until nothing is due."""
        self._free_claims()
        for _ in range(MAX_ROUNDS):
            if not due_hours(self._services, "posts", self.now):
                return
            self.process()
        raise AssertionError(f"After {MAX_ROUNDS} runs something is still due.")

    def differences(self) -> list[str]:
        """Return where the record store differs from the model; valid at any time."""
        return [*self._wrong_items(), *self._wrong_stages(), *self._said_of_other_words()]

    def _wrong_items(self) -> Iterator[str]:
        held = {(row["tenant_id"], row["source_key"]): row for row in rows(self._services, schema.posts)}
        for key, item in self.model.known.items():
            row = held.pop(key, None)
            if row is None:
                yield f"lost: {key}"
            elif (row["revised_at"], row["hour"]) != (BASE_DATE + 1 + item.date, item.hour):
                yield f"of another revision or hour: {key}"
        yield from (f"from nowhere: {key}" for key in held)

    def _wrong_stages(self) -> Iterator[str]:
        ledger = defaultdict[tuple[str, str], dict[str, Any]](dict)
        for row in rows(self._services, schema.index_ledger):
            ledger[row["tenant_id"], row["source_key"]][row["projection"]] = row
        texts = {(row["tenant_id"], row["source_key"]): row["text"] for row in rows(self._services, schema.posts)}
        for key, stages in self._stages().items():
            item = self.model.known[key]
            text = item.text or ""
            done = {stage for stage, state in stages.items() if state in ("done", "failed")}
            if "parse" not in stages:
                yield f"no work: {key}"
            if stages.get("tag") == "failed" and POISON not in text:
                yield f"blamed: {key}"
            if "parse" in done and texts[key] != text:
                yield f"text: {key}"
            vectors, graph = ledger[key].get("vectors"), ledger[key].get("graph")
            if {"parse", "embed", "index"} <= done and _held(vectors) != expected_points(key, text):
                yield f"points of the ledger: {key}"
            tagged = stages.get("tag") == "done"
            if {*ITEM_STAGES} <= done | {"index"} and _held(graph) != expected_parts(key, text, tagged=tagged):
                yield f"graph of the ledger: {key}"

    def _said_of_other_words(self) -> Iterator[str]:
        """Yield tags and names that are not in the current text or chunk: left from an earlier revision."""
        texts = {(row["tenant_id"], row["source_key"]): row["text"] or "" for row in rows(self._services, schema.posts)}
        chunks = {
            (row["tenant_id"], row["source_key"], row["ordinal"]): row["text"]
            for row in rows(self._services, schema.chunks)
        }
        for row in rows(self._services, schema.post_enrichment):
            key = row["tenant_id"], row["post_id"]
            yield from (f"tag: {key} {tag}" for tag in row["value"]["tags"] if tag not in texts[key])
        for row in rows(self._services, schema.entities):
            place = row["tenant_id"], row["source_key"], row["ordinal"]
            if row["name"] not in chunks.get(place, ""):
                yield f"name: {place} {row['name']}"

    def _stages(self) -> dict[tuple[str, str], dict[str, str]]:
        stages = defaultdict[tuple[str, str], dict[str, str]](dict)
        for row in rows(self._services, schema.work):
            stages[row["tenant_id"], row["source_key"]][row["stage"]] = row["state"]
        return {key: stages[key] for key in self.model.known}

    def differences_at_rest(self) -> list[str]:
        """Return where any store differs from the model when nothing is due."""
        return [*self.differences(), *self._unfinished(), *self._wrong_points(), *self._wrong_graph()]

    def _unfinished(self) -> Iterator[str]:
        refused = set()
        for key, stages in self._stages().items():
            refused |= {key} if stages.get("tag") == "failed" else set()
            if {*stages} != {*ITEM_STAGES} or {*stages.values()} - {"done", "failed"}:
                yield f"unfinished: {key} {stages}"
        letters = rows(self._services, schema.worker_dlq, schema.worker_dlq.c.resolved.is_(False))
        if {(row["tenant_id"], row["source_key"]) for row in letters} != refused or len(letters) != len(refused):
            yield "dead letters"
        received = {
            (row["tenant_id"], row["source_key"], row["revised_at"], row["content_hash"]) for row in self._inbox
        }
        expected = sum(len(item.seen) for item in self.model.known.values())
        if not len(received) == len(self._inbox) == expected:
            yield f"inbox: {len(received)} different of {len(self._inbox)} arrivals, {expected} expected"

    @property
    def _inbox(self) -> list[dict[str, Any]]:
        return rows(self._services, schema.inbox)

    def _wrong_points(self) -> Iterator[str]:
        stages, held = self._stages(), dict(self._services.vectors.points())
        for key, item in self.model.known.items():
            text = item.text or ""
            tags = [*expected_tags(text)] if stages[key].get("tag") == "done" else []
            for point in expected_points(key, text):
                payload = held.pop(point, None)
                if payload is None or (payload["title"], payload["tags"]) != (text.partition("\n")[0], tags):
                    yield f"point: {key} {payload and payload['tags']}"
        yield from (f"stale point: {point}" for point in held)
        chunks = rows(self._services, schema.chunks)
        if len(chunks) != sum(len(expected_chunks(item.text or "")) for item in self.model.known.values()):
            yield "chunks"

    def _wrong_graph(self) -> Iterator[str]:
        stages = self._stages()
        expected = set[str]()
        for key, item in self.model.known.items():
            expected |= expected_parts(key, item.text or "", tagged=stages[key].get("tag") == "done")
        nodes = [f"{node.label} {node.id}" for node in self._services.graph.nodes()]
        edges = [f"{edge.type} {edge.id}" for edge in self._services.graph.edges()]
        if len(nodes) + len(edges) != len({*nodes, *edges}):
            yield "a node or edge twice"
        yield from (f"graph: {name}" for name in expected ^ {*nodes, *edges})


def _held(entry: dict[str, Any] | None) -> frozenset[str] | None:
    """Return the confirmed ids of a ledger entry; None while a write is unconfirmed."""
    if entry is None:
        return frozenset()
    return None if entry["intended"] else frozenset(entry["confirmed"])
