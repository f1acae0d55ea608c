"""One stage inside one Dagster step: its config, deadline, the meaning of its failures, its metadata and logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from chatai_assets.domain.circuit_breaker import PROBE_ITEMS, OpenBreaker, display_name, format_time
from chatai_assets.domain.errors import StoreUnavailable, error_code
from chatai_assets.domain.failure_policy import is_outage
from chatai_assets.domain.ids import STREAMS, ItemKey, Stream
from chatai_assets.domain.stages import Stage
from chatai_assets.observability import PROCESSING_COMPLETE, PROCESSING_FAILED, log
from chatai_assets.operations.outages import (
    count_waiting,
    dependency_of,
    open_breaker,
    open_breaker_for,
    record_success,
)
from chatai_assets.orchestration.failures import (
    FailureContext,
    failure_of,
    is_ours_to_explain,
    is_tried_again,
    report_unforeseen,
)
from chatai_assets.orchestration.metadata import LISTED, materialization_metadata
from chatai_assets.orchestration.resources import Clock, Lazy
from chatai_assets.orchestration.runs import Trigger, tag_outage, tag_worker, trigger_of
from chatai_assets.orchestration.watchdog.client import ensure_exit, watchdog
from chatai_assets.orchestration.watchdog.deadline import DeadlineExceeded, deadline
from chatai_assets.orchestration.watchdog.heartbeat import run_heartbeat
from chatai_assets.pipeline.engine import StageReport, StageRunConfig
from chatai_assets.settings import Settings
from chatai_assets.storage import dead_letters
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.dead_letters import DeadLetterFilter, DeadLetterRow
from chatai_assets.storage.engine import Records

BUDGET_SHARE = 4
"""Of its deadline a stage begins batches in the first quarter only: a large share of work is no hang."""


@dataclass(slots=True)
class StageRun:
    """A stage while it runs.

    Attributes:
        scope: what it works on.
        part: what it needs besides the record store.
        asked: who asked for the run; only a probe, or a run started by hand, may call a part that is down.
        down: the outage that the stage waits for, if any.
        late: stream -> items that wait for it, counted before some of them get on.
        done: what it reported, once it has.
    """

    stage: Stage
    scope: StageRunConfig
    records: Lazy[Records]
    part: str
    asked: Trigger = "by hand"
    down: OpenBreaker | None = None
    delayed: Mapping[str, int] = field(default_factory=dict)
    done: StageReport | None = None

    def do(self, work_on: Callable[[StageRunConfig], StageReport]) -> None:
        """Work on the hour, unless the dependency is down and the run is neither a probe nor started by hand."""
        if self.down and self.asked == "due":
            self.done = StageReport(self.stage, self.scope.stream, self.scope.hour)
            self.done.hour_states = _states(self)
            return
        self.done = work_on(self.scope)

    def meet_breaker(self) -> None:
        """Look whether what the stage needs is down; a probe then takes a few items only."""
        self.down = open_breaker_for(self.records(), self.scope.stream, self.stage)
        if self.down:
            self.delayed = count_waiting(self.records(), self.down)
            few = PROBE_ITEMS if self.asked == "probe" else self.scope.run_items
            self.scope = replace(self.scope, probing=True, run_items=min(few, self.scope.run_items))

    def close_breaker(self) -> None:
        """Note that what was down let the stage get on."""
        if self.down and self.done and self.done.done:
            scope = self.scope
            record_success(self.records(), self.down, scope.stream, self.stage, self.delayed, scope.clock())

    @property
    def report(self) -> StageReport:
        """What the stage says it did, once it has."""
        if self.done is None:
            raise ValueError("The stage did not report.")
        return self.done

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the materialization, once the stage has reported."""
        letters = _letters_of_run(self) if self.report.failed else ()
        return materialization_metadata(self.report, self.scope.run_id, letters) | self._held_back()

    def _held_back(self) -> dict[str, str]:
        if not self.down or self.asked != "due":
            return {}
        since = format_time(self.down.since)
        return {
            "held_back": f"Nothing was asked of {display_name(self.down.dependency)}, which is down since {since} UTC."
        }


@contextmanager
def stage_run(
    context: dg.AssetExecutionContext, stage: Stage, settings: Settings, records: Lazy[Records], clock: Clock
) -> Iterator[StageRun]:
    """Run one stage of the asset's stream and of the partition's hour; see ``watched``."""
    scope = scope_of(settings, _stream_of(context.asset_key), stage, context.partition_key, context.run.run_id)
    part, asked = dependency_of(stage, settings.models), trigger_of(context.run.tags)
    run = StageRun(stage, replace(scope, clock=clock), records, part, asked)
    with watched(context.op_execution_context, run, settings):
        yield run


@contextmanager
def watched(context: dg.OpExecutionContext, run: StageRun, settings: Settings) -> Iterator[StageRun]:
    """Run a stage within its deadline, and report the result to Dagster and the log.

    Raises:
        dagster.Failure: the stage failed; says in one sentence what is down, what waits and what to do.
        dagster.RetryRequested: a store could not be reached; the step is tried again.
    """
    limit_s, name = settings.stages[run.stage].deadline_s, f"the stage {run.stage!r} of {run.scope.stream}"
    if watchdog().stop_requested:  # between two steps Dagster may take a signal and forget it
        raise dg.DagsterExecutionInterruptedError
    try:
        with deadline(limit_s, name, context.run_id, watchdog(), grace_s=settings.grace_s):
            tag_worker(context.instance, context.run_id)
            with run_heartbeat(run.records(), context.run_id, settings.lease_s):
                run.meet_breaker()
                yield run
                run.close_breaker()
    except BaseException as error:
        if not is_ours_to_explain(error):
            raise
        if isinstance(error, DeadlineExceeded):
            ensure_exit(context.run_id)
        _log_failed(run, error)
        report_unforeseen(error, run.stage, settings.sentry_dsn)
        down = None if is_tried_again(error, context.retry_number) else _open_breaker(context, run, error)
        place = FailureContext(run.scope.stream, run.stage, run.scope.hour, _waiting(run), context.retry_number, down)
        raise failure_of(error, place) from None  # the cause may quote private text
    _log_complete(run)


def scope_of(
    settings: Settings, stream: Stream, stage: Stage, hour: str, run_id: str, only: ItemKey | None = None
) -> StageRunConfig:
    """Return what a stage of a run works on, within the limits of the settings."""
    limits = settings.limits(stream)
    return StageRunConfig(
        stream=stream,
        hour=hour,
        run_id=run_id,
        run_items=limits.run_items,
        batch_items=limits.batch_items,
        projection_items=limits.projection_items,
        lease_s=settings.lease_s,
        max_attempts=settings.stages[stage].max_attempts,
        budget_s=settings.stages[stage].deadline_s / BUDGET_SHARE,
        only=only,
    )


def _open_breaker(context: dg.OpExecutionContext, run: StageRun, error: BaseException) -> OpenBreaker | None:
    """Open the breaker for all processes; it then decides when the hour is requested again, not the failed runs."""
    if not is_outage(error):
        return None
    down = open_breaker(run.records, run.scope.stream, run.stage, run.part, error, run.scope.clock())
    if down:
        tag_outage(context.instance, context.run_id, down.dependency)
    return down


def _states(run: StageRun) -> dict[str, int]:
    with run.records().reading() as connection:
        return work.hour_states(connection, run.scope.stream, run.stage, run.scope.hour)


def _stream_of(asset_key: dg.AssetKey) -> Stream:
    return next(stream for stream in STREAMS if stream == asset_key.path[0])


def _waiting(run: StageRun) -> int | None:
    """Return how many items wait at the stage; None when the record store is what is down."""
    try:
        states = _states(run)
    except StoreUnavailable:
        return None
    return states.get("pending", 0) + states.get("working", 0)


def _letters_of_run(run: StageRun) -> Sequence[DeadLetterRow]:
    """Return the newest dead letters that this run wrote at this stage."""
    with run.records().reading() as connection:
        newest = dead_letters.list_dead_letters(
            connection, DeadLetterFilter(stream=run.scope.stream), limit=10 * LISTED
        )
    return [letter for letter in newest if (letter["run_id"], letter["stage"]) == (run.scope.run_id, run.stage)]


def _log_complete(run: StageRun) -> None:
    scope, done = run.scope, run.done or StageReport(run.stage, run.scope.stream, run.scope.hour)
    log.info(
        PROCESSING_COMPLETE,
        stream=scope.stream,
        stage=run.stage,
        hour=scope.hour,
        run_id=scope.run_id,
        done=done.done,
        unchanged=done.unchanged,
        failed=done.failed.total(),
        retried=done.retried.total(),
        seconds=round(done.seconds, 3),
    )


def _log_failed(run: StageRun, error: BaseException) -> None:
    scope = run.scope
    log.error(
        PROCESSING_FAILED,
        stream=scope.stream,
        stage=run.stage,
        hour=scope.hour,
        run_id=scope.run_id,
        error_class=error_code(error),
    )
