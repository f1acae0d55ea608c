"""One stage inside one Dagster step: its scope, its deadline, what its failure means, what is told about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
from sqlalchemy import RowMapping

from chatai_assets.adapters.records import dead_letters, work
from chatai_assets.adapters.records.store import Records
from chatai_assets.adapters.records.work import Key
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.keys import STREAMS, Stage, Stream
from chatai_assets.observability import PROCESSING_COMPLETE, PROCESSING_FAILED, log
from chatai_assets.orchestration.deadlines import deadline
from chatai_assets.orchestration.failures import Place, failure_of, is_ours_to_explain
from chatai_assets.orchestration.metadata import LISTED, materialization_metadata
from chatai_assets.orchestration.resources import Part
from chatai_assets.orchestration.runs import sign
from chatai_assets.settings import Settings
from chatai_assets.stages.batches import Scope, StageReport

BUDGET_SHARE = 4
"""Of its deadline a stage begins batches in the first quarter only: a large share of work is no hang."""


@dataclass(slots=True)
class StageRun:
    """A stage while it runs.

    Attributes:
        scope: what it works on.
        done: what it reported, once it has.
    """

    stage: Stage
    scope: Scope
    records: Part[Records]
    done: StageReport | None = None

    def report(self, report: StageReport) -> None:
        """Take what the stage says it did."""
        self.done = report

    @property
    def result(self) -> dg.MaterializeResult[None]:
        """What the step returns, once the stage has reported."""
        if self.done is None:
            raise ValueError("The stage did not report.")
        letters = _letters_of_run(self) if self.done.failed else ()
        return dg.MaterializeResult(metadata=materialization_metadata(self.done, self.scope.run_id, letters))


@contextmanager
def stage_run(
    context: dg.AssetExecutionContext, stage: Stage, settings: Settings, records: Part[Records]
) -> Iterator[StageRun]:
    """Run one stage of the asset's stream and of the partition's hour; see ``watched``."""
    scope = scope_of(settings, _stream_of(context.asset_key), context.partition_key, context.run.run_id)
    with watched(context.op_execution_context, StageRun(stage, scope, records), settings.stage_deadline_s) as run:
        yield run


@contextmanager
def watched(context: dg.OpExecutionContext, run: StageRun, deadline_s: float) -> Iterator[StageRun]:
    """Let a stage run for as long as it may, and tell Dagster and the log what came of it.

    Raises:
        dagster.Failure: the stage failed; says in one sentence what is down, what waits and what to do.
        dagster.RetryRequested: a store could not be reached; the step is tried again.
    """
    try:
        with deadline(deadline_s):
            sign(context.instance, context.run_id)
            yield run
    except BaseException as error:
        if not is_ours_to_explain(error):
            raise
        _log_failed(run, error)
        place = Place(run.scope.stream, run.stage, run.scope.hour, _waiting(run), context.retry_number)
        raise failure_of(error, place) from None  # the cause may quote private text
    _log_complete(run)


def scope_of(settings: Settings, stream: Stream, hour: str, run_id: str, only: Key | None = None) -> Scope:
    """Return what a run of an hour works on, within the limits of the settings."""
    limits = settings.limits(stream)
    return Scope(
        stream=stream,
        hour=hour,
        run_id=run_id,
        run_items=limits.run_items,
        batch_items=limits.batch_items,
        projection_items=limits.projection_items,
        lease_s=settings.lease_s,
        max_attempts=settings.max_attempts,
        budget_s=settings.stage_deadline_s / BUDGET_SHARE,
        only=only,
    )


def _stream_of(asset_key: dg.AssetKey) -> Stream:
    return next(stream for stream in STREAMS if stream == asset_key.path[0])


def _waiting(run: StageRun) -> int | None:
    """Return how many items wait at the stage; None when the record store is what is down."""
    try:
        with run.records().reading() as connection:
            states = work.hour_states(connection, run.scope.stream, run.stage, run.scope.hour)
    except StoreUnavailable:
        return None
    return states.get("pending", 0) + states.get("working", 0)


def _letters_of_run(run: StageRun) -> Sequence[RowMapping]:
    """Return the newest dead letters that this run wrote at this stage."""
    with run.records().reading() as connection:
        newest = dead_letters.list_letters(connection, stream=run.scope.stream, limit=10 * LISTED)
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
        error_class=type(error).__name__,
    )
