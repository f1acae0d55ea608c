"""Runs everything that is due in this process: the same runs on the same instance, without the daemon."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from chatai_assets.domain.errors import Outage
from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.domain.stages import ITEM_STAGES, PIPELINE_STAGES, downstream_of
from chatai_assets.operations.entities import propagate_overrides
from chatai_assets.operations.erasure import finish, has_pending_erasures
from chatai_assets.operations.recovery import fix_clock_skew, reclaim_abandoned
from chatai_assets.orchestration.instance import home_instance, translate_history_errors
from chatai_assets.orchestration.jobs.erasure import erasure_stores
from chatai_assets.orchestration.jobs.streams import run_hour_here
from chatai_assets.orchestration.projection_monitor import ProjectionMonitor
from chatai_assets.orchestration.runs import TRIGGER_TAG, end_lost_runs
from chatai_assets.orchestration.watchdog.client import watchdog
from chatai_assets.pipeline.budgets import resume_deferred
from chatai_assets.services import Services, first_hour
from chatai_assets.settings import Settings
from chatai_assets.storage import dead_letters
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records
from chatai_assets.storage.heartbeat import heartbeat

PROGRESS_INTERVAL_S = 1.0
SHARE = 5
"""Runs here take this multiple of a queued run's items, since no other run waits for them."""


@dataclass(frozen=True, slots=True)
class RemainingWork:
    """What is left to do.

    Attributes:
        items: posts and documents that are not finished.
        steps: stages that they still have to pass, together; a stage that follows two others may count twice.
    """

    items: int
    steps: int


OnProgress = Callable[[RemainingWork], None]


@dataclass(slots=True)
class ProcessOutcome:
    """Result of ``run_pending``.

    Attributes:
        figures: ``runs processed failed pending seconds``.
        failures: one sentence per hour whose run failed.
    """

    figures: dict[str, Any]
    failures: list[str] = field(default_factory=list)


def run_pending(
    services: Services, define: Callable[[], dg.Definitions], on_progress: OnProgress | None = None
) -> ProcessOutcome:
    """Run every hour with due work until nothing is due or a run makes no progress.

    Args:
        define: makes the definitions that use these services; called only if there is work to do.
        on_progress: called about once a second with what is left. Counting takes time: pass None if it is not shown.

    Raises:
        KeyboardInterrupt: this process received Ctrl-C or SIGTERM.
    """
    started, runs, failures = time.monotonic(), 0, list[str]()
    reclaim_abandoned(services.records)
    fix_clock_skew(services.records, time.time(), first_hour(services))
    propagate_overrides(services.records)
    for stream in STREAMS:
        resume_deferred(services.records, stream, services.settings.costs.budget, time.time())
    ProjectionMonitor().check(services)
    open_before, letters_before = _count_open(services.records), _count_dead_letters(services.records)
    if _find_due(services.records):
        definitions = define()
        freeze_gc()
        reports = _progress_reports(services.records, on_progress) if on_progress else nullcontext()
        with (
            translate_history_errors(),
            home_instance(services.settings) as instance,
            reports,
            watchdog().forwarding_signals(),
        ):
            end_lost_runs(instance, services.records)
            runs, failures = _run_all(services.records, definitions, instance)
    failures += _finish_erasures(services)
    pending = _count_open(services.records)
    figures = {
        "runs": runs,
        "processed": max(open_before - pending, 0),
        "failed": _count_dead_letters(services.records) - letters_before,
        "pending": pending,
        "seconds": round(time.monotonic() - started, 3),
    }
    return ProcessOutcome(figures, failures)


def _finish_erasures(services: Services) -> list[str]:
    """Finish pending erasures in all stores; return the error message if a store is unavailable."""
    if not has_pending_erasures(services.records):
        return []
    try:
        finish(erasure_stores(services))
    except Outage as error:
        return [str(error)]
    return []


def with_larger_runs(settings: Settings) -> Settings:
    """Return the settings with larger runs, since every run has an overhead of half a second."""
    posts = settings.posts.replace(run_items=settings.posts.run_items * SHARE)
    documents = settings.documents.replace(run_items=settings.documents.run_items * SHARE)
    return settings.replace(posts=posts, documents=documents)


def freeze_gc() -> None:
    """Exempt half a million long-lived objects of Dagster from garbage collection, and collect less often.

    Measured: collection took an eighth of all time with batches of thousands of rows. The higher thresholds also keep
    it from scanning every part of a graph that is being written.
    """
    gc.freeze()
    gc.set_threshold(400_000, 50, 100)


def _run_all(records: Records, definitions: dg.Definitions, instance: dg.DagsterInstance) -> tuple[int, list[str]]:
    runs, failures, stuck = 0, dict[tuple[Stream, str], str](), set[tuple[Stream, str]]()
    while due := [place for place in _find_due(records) if place not in stuck]:
        for stream, hour in due:
            before = _count_finished(records, stream, hour)
            # The first run that fails has probed what is down; later runs only do work that does not depend on it.
            tags = {TRIGGER_TAG: "due"} if failures else {}
            outcome = run_hour_here(definitions, stream, hour, instance, tags)
            if watchdog().stop_requested:  # within a run Dagster catches the signal, fails the run and continues
                raise KeyboardInterrupt
            runs += 1
            if outcome.failure:
                failures[stream, hour] = outcome.failure
            if outcome.failure or _count_finished(records, stream, hour) <= before:
                stuck.add((stream, hour))
    return runs, list(failures.values())


def _find_due(records: Records) -> list[tuple[Stream, str]]:
    now = time.time()
    with records.reading() as connection:
        return [(stream, hour) for stream in STREAMS for hour, _ in work.due_hours(connection, stream, now=now)]


def _count_finished(records: Records, stream: Stream, hour: str) -> int:
    """Count the finished rows of work of an hour; the count grows when a run makes progress."""
    with records.reading() as connection:
        states = [work.hour_states(connection, stream, stage, hour) for stage in PIPELINE_STAGES]
    return sum(state.get("done", 0) + state.get("failed", 0) for state in states)


def _count_open(records: Records) -> int:
    with records.reading() as connection:
        return sum(sum(work.open_hours(connection, stream).values()) for stream in STREAMS)


def _count_dead_letters(records: Records) -> int:
    with records.reading() as connection:
        return dead_letters.count_open(connection)


def _progress_reports(records: Records, on_progress: OnProgress) -> AbstractContextManager[None]:
    """Report what is left at once, and then about once a second until the block ends."""
    on_progress(remaining_work(records))
    return heartbeat(lambda: on_progress(remaining_work(records)), PROGRESS_INTERVAL_S, "progress")


def remaining_work(records: Records) -> RemainingWork:
    """Count the items that are not finished and the stages they still have to pass."""
    with records.reading() as connection:
        rows = work.open_rows(connection)
    steps = sum(count * len({stage, *downstream_of(stage)}.intersection(ITEM_STAGES)) for stage, count in rows.items())
    return RemainingWork(_count_open(records), steps)
