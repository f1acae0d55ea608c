"""Worker processes forked from a server process that has all modules loaded, to be killed after a moment.

A fork takes 20 ms and a start two seconds, so a scenario can kill a thousand processes within minutes.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.observability import configure_logging
from chatai_assets.operations.erasure import finish, forget
from chatai_assets.operations.expiry import expire
from chatai_assets.services import Services
from chatai_assets_tests.support.crash_injection import CallLoggingModel, CrashingRecords, CrashPlan, inject_crashes
from chatai_assets_tests.support.erasure import erasure_stores
from chatai_assets_tests.support.pipeline import (
    NOON,
    Limits,
    due_hours,
    free_settings,
    ingest_files,
    run,
    stage_run_config,
)

TIMEOUT_S = 300.0
ENDED, COMMITTED = "ended", "committed"
"""Lines of a ledger besides model calls: the end of a process, and the commit of a batch."""
PRELOADED_MODULES = (
    "__main__",
    __name__,
    "chatai_assets.adapters.graph.ladybug",
    "chatai_assets.adapters.models.fake",
    "chatai_assets.adapters.nlp.stemmer",
    "chatai_assets.adapters.sandbox.pool",
    "chatai_assets.adapters.vectors.edge",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "sqlalchemy.dialects.postgresql.psycopg2",
)
LIMITS = Limits(run_items=400, batch_items=100, projection_items=150)


@dataclass(frozen=True)
class WorkerPlan:
    """What a worker process does: ingest what arrives, then process everything due.

    Attributes:
        servers: variables that select servers.
        arrivals: files to ingest.
        streams: to process, in this order.
        point: where it kills itself; None for not at all.
        ledger: file that logs its model calls and commits.
        occurrence: at which arrival at that point it dies.
        now: time of arrival, in epoch seconds.
        forgotten: keys of items to erase.
        sweeps_at: remove what expired until then, in epoch seconds; None for no sweep.
    """

    home: Path
    servers: Mapping[str, str]
    arrivals: Sequence[Path]
    streams: Sequence[Stream]
    point: str | None
    ledger: Path
    occurrence: int = 1
    now: float = NOON
    forgotten: Sequence[str] = ()
    sweeps_at: float | None = None


@dataclass(frozen=True)
class WorkerExit:
    """How a process ended.

    Attributes:
        killed: whether it was killed; otherwise it finished.
        took_in: whether it ingested all arrivals.
        resumed_s: seconds from its start to its first claim; None if it made none.
        stage: the last one it reported.
    """

    killed: bool
    took_in: bool
    resumed_s: float | None
    stage: str


class WorkerForks:
    """Forks worker processes."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*PRELOADED_MODULES])

    def run(self, worker: WorkerPlan, kill_after_s: float | None = None) -> WorkerExit:
        """Run a worker until it is killed or nothing is due.

        Raises:
            RuntimeError: it ended with an error, or does not end.
        """
        ours, its = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_run_worker, args=(worker, its), daemon=False)
        started = time.monotonic()
        process.start()
        its.close()
        with ours:
            said = _collect_messages(ours, process, started, kill_after_s)
        process.join(TIMEOUT_S)
        if process.exitcode not in (0, -9):
            process.kill()
            raise RuntimeError(f"A worker ended with {process.exitcode} after {[*said]}.")
        stages = [line for line in said if " " in line]
        return WorkerExit(process.exitcode == -9, "taken in" in said, said.get("claimed"), stages[-1] if stages else "")


def _collect_messages(
    ours: Connection, process: ForkServerProcess, started: float, kill_after_s: float | None
) -> dict[str, float]:
    """Return message -> seconds from the start until it was first sent; kill the process when its time is up."""
    said: dict[str, float] = {}
    begun: float | None = None
    while time.monotonic() - started < TIMEOUT_S:
        wait_s = TIMEOUT_S if begun is None or kill_after_s is None else begun + kill_after_s - time.monotonic()
        if not ours.poll(max(0.0, wait_s)):
            process.kill()
            kill_after_s = None
            continue
        try:
            said.setdefault(ours.recv(), time.monotonic() - started)
        except (EOFError, OSError):
            return said
        begun = begun or time.monotonic()
    process.kill()
    raise RuntimeError(f"A worker does not end; it said {[*said]}.")


def _run_worker(worker: WorkerPlan, says: Connection) -> None:
    configure_logging("ERROR")
    says.send("born")
    with Services(free_settings(worker.home, worker.servers)) as services:
        crash_plan = _ReportingCrashPlan(worker.point, worker.occurrence, worker.ledger, says)
        instrument(services, crash_plan, worker.ledger)
        crash_plan.stage = "ingest"
        ingest_files(services, worker.arrivals, now=worker.now)
        for key in worker.forgotten:
            forget(erasure_stores(services), key)
        says.send("taken in")
        _sweep(services, crash_plan, worker.sweeps_at)
        while process_round(services, crash_plan, worker.streams):
            pass


def _sweep(services: Services, crash_plan: CrashPlan, until: float | None) -> None:
    if until is not None:
        crash_plan.stage = "expiry"
        while expire(erasure_stores(services), clock=lambda: until).until < until:
            pass  # this finished an earlier, interrupted sweep
        finish(erasure_stores(services), clock=lambda: until)


def instrument(services: Services, crash_plan: CrashPlan, ledger: Path) -> None:
    """Inject crashes into all stores and log the calls of all models to a ledger."""
    services.__dict__["records"] = CrashingRecords(services.records, crash_plan)
    inject_crashes(services, crash_plan)
    for name, model in (("tag", "tagger"), ("embed", "embedder"), ("extract", "extractor")):
        services.__dict__[model] = CallLoggingModel(getattr(services, model), name, ledger)


def process_round(
    services: Services, crash_plan: CrashPlan, streams: Sequence[Stream] = STREAMS, limits: Limits = LIMITS
) -> bool:
    """Run every due hour once; return whether there was one."""
    due = [(stream, hour) for stream in streams for hour in due_hours(services, stream)]
    for stream, hour in due:
        for stage in ITEM_STAGES:
            crash_plan.stage = f"{stream} {stage}"
            run(stage, stage_run_config(stream, hour, limits), services)
    return bool(due)


class _ReportingCrashPlan(CrashPlan):
    """Reports progress to the parent and committed batches to the ledger."""

    def __init__(self, point: str | None, occurrence: int, ledger: Path, says: Connection) -> None:
        super().__init__(point, occurrence)
        self._ledger = ledger
        self._says = says
        self._stage = ""

    def reach(self, point: str) -> None:
        if self.stage != self._stage:
            self._stage = self.stage
            self._says.send(self.stage)
        if point.endswith("claimed, after its commit"):
            self._says.send("claimed")
        if point.endswith(" commit, after its commit"):
            append_line(self._ledger, COMMITTED)
        super().reach(point)


def append_line(ledger: Path, line: str) -> None:
    """Append a line to a ledger."""
    with ledger.open("a", encoding="ascii") as file:
        file.write(f"{line}\n")


def count_calls(ledger: Sequence[str]) -> tuple[Counter[str], int]:
    """Return model call -> count, and how many answers were not committed when a process died."""
    asked, in_flight, open_calls = Counter[str](), 0, 0
    for line in ledger:
        if line == ENDED:
            in_flight += open_calls
        if line in (ENDED, COMMITTED):
            open_calls = 0
        else:
            open_calls += 1
            asked[line] += 1
    return asked, in_flight
