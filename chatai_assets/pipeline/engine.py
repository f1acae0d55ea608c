"""How every stage works: claim, compute, commit results and state together, batch by batch.

A stage is a ``StageHandler``: it computes a batch of claimed items outside any transaction and says
what to write. What becomes of items that fail is decided here, once, for all stages.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from chatai_assets.domain.errors import BudgetExceeded, ChatAIError, TransientError
from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.retry import check_mass_failure, item_backoff_s
from chatai_assets.domain.stages import Stage
from chatai_assets.observability import CLAIM_LOST, CLAIMS_FREED, log
from chatai_assets.pipeline import budgets
from chatai_assets.pipeline.dead_lettering import (
    code_version,
    log_failures,
    not_yet_recorded,
    poison_items,
)
from chatai_assets.pipeline.worker_id import is_dead, is_running, new_lease_token
from chatai_assets.storage import costs
from chatai_assets.storage import items as content
from chatai_assets.storage import leases as claims
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.batch_commit import BatchOutcome, PermanentFailure, Retry, commit
from chatai_assets.storage.engine import Records, StoredRow, Transaction
from chatai_assets.storage.heartbeat import heartbeat

PREVIEW_ROWS = 10


@dataclass(frozen=True, slots=True)
class StageRunConfig:
    """What a run works on.

    Attributes:
        run_items: items per stage at most; the rest waits for the next run.
        batch_items: items per claim and transaction.
        projection_items: items per claim of the stages that write a projection, under one lock of its store.
        lease_s: seconds without heartbeat after which a claim lapses.
        max_attempts: tries of one item before a passing fault counts as a lasting one.
        budget_s: seconds after which a stage takes no further batch; the rest waits for the next run.
        only: the one item to work on; None works on all that is due.
        probing: what the stage needs was down; items that all fail alike are not to blame then, however few.
        clock: epoch seconds.
    """

    stream: Stream
    hour: str
    run_id: str
    run_items: int
    batch_items: int
    projection_items: int
    lease_s: float = 60.0
    max_attempts: int = 5
    budget_s: float = math.inf
    only: ItemKey | None = None
    probing: bool = False
    clock: Callable[[], float] = time.time


@dataclass(slots=True)
class StageReport:
    """What a stage did in one run, for metadata and logs; holds no private text.

    Attributes:
        done: items finished, ``unchanged`` among them.
        unchanged: items whose result was already there.
        failed: error class -> items quarantined.
        retried: error class -> items that will be tried again.
        lost: items that were taken away meanwhile (edited, redone) and left to whoever has them now.
        counts: further figures of the stage, e.g. ``chunks`` or ``points_written``.
        preview: a few items: keys and sizes.
        paused: tenant -> what is to be said of its budget, where that is spent.
        hour_states: state -> items of the whole hour after this run.
        hour_costs: what the whole hour cost at this stage so far; empty for a stage that costs nothing.
    """

    stage: Stage
    stream: Stream
    hour: str
    done: int = 0
    unchanged: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    preview: list[dict[str, Any]] = field(default_factory=list)
    paused: dict[str, str] = field(default_factory=dict)
    hour_states: dict[str, int] = field(default_factory=dict)
    hour_costs: dict[str, Any] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        """Items that were claimed."""
        return self.done + self.failed.total() + self.retried.total() + self.lost

    @property
    def is_paused(self) -> bool:
        """Whether nothing came of it but that budgets are spent."""
        return bool(self.paused) and self.taken == self.retried[BudgetExceeded.code]


@dataclass(slots=True)
class BatchResult:
    """What a batch came to.

    Attributes:
        write: writes the results of the items that are still held and did not fail, in the committing transaction.
        failures: item -> what befell it.
        follow: stages that become pending for every finished item that has not seen them.
        reopen: stage -> items for which it becomes pending again.
        unchanged: items whose result was already there.
    """

    write: Callable[[Transaction, set[ItemKey]], None]
    failures: dict[ItemKey, ChatAIError] = field(default_factory=dict)
    tracebacks: dict[ItemKey, str] = field(default_factory=dict)
    enqueue: Sequence[Stage] = ()
    requeue: dict[Stage, list[ItemKey]] = field(default_factory=dict)
    unchanged: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    preview: list[dict[str, Any]] = field(default_factory=list)


class StageHandler(Protocol):
    """One stage's own part."""

    @property
    def stage(self) -> Stage:
        """Which stage this is."""
        ...

    @property
    def fingerprint(self) -> str:
        """With what the stage computes: model, prompt and code versions."""
        ...

    @property
    def invalidates_on_failure(self) -> Sequence[Stage]:
        """Stages that must look again at an item that fails here for good, if a projection holds some of it."""
        ...

    @property
    def continues_without(self) -> Sequence[Stage]:
        """Stages that are done, or done again, for an item without what failed here for good."""
        ...

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        """Write what failing for good means to the items themselves (a document's status, what an earlier one said)."""
        ...

    def compute(self, owner: str) -> BatchResult:
        """Work on the items of a claim; raises ``Outage`` when none of them can go on."""
        ...


def run_stage(
    scope: StageRunConfig, records: Records, stage_work: StageHandler, *, batch_items: int | None = None
) -> StageReport:
    """Do what is due of one stage in one hour, at most ``scope.run_items`` items.

    Raises:
        Outage: something all items need is down; what was claimed is given back, no attempt is used up.
        BudgetSpent: all that waits is over its tenant's budget, and no run of this hour has said so today.
    """
    report = StageReport(stage_work.stage, scope.stream, scope.hour)
    started = time.monotonic()
    reclaim_dead_leases(records)
    with records.reading() as connection:
        known = budgets.pause_already_reported(connection, scope.stream, stage_work.stage, scope.hour, scope.clock())
    while report.taken < scope.run_items and time.monotonic() - started < scope.budget_s:
        limit = min(batch_items or scope.batch_items, scope.run_items - report.taken)
        if not _run_batch(scope, records, stage_work, limit, report):
            break
    report.seconds = time.monotonic() - started
    if report.is_paused and not known:
        raise budgets.all_budgets_exceeded(report.paused)
    with records.reading() as connection:
        report.hour_states = work.hour_states(connection, scope.stream, stage_work.stage, scope.hour)
        report.hour_costs = costs.costs_of_hour(connection, scope.stream, stage_work.stage, scope.hour)
    return report


def _run_batch(
    scope: StageRunConfig, records: Records, stage_work: StageHandler, limit: int, report: StageReport
) -> bool:
    started = time.monotonic()
    with _claim(scope, records, stage_work.stage, limit) as (owner, size):
        if not size:
            return False
        result = _process(scope, records, stage_work, owner, size)
        _commit(scope, records, stage_work, owner, size, result, report, started)
    return True


def _process(scope: StageRunConfig, records: Records, stage_work: StageHandler, owner: str, size: int) -> BatchResult:
    # What may be a killer is claimed alone.
    killers = poison_items(records, owner, stage_work.stage, scope.clock()) if size == 1 else {}
    if killers:
        return BatchResult(write=lambda _connection, _keys: None, failures=dict(killers))
    result = stage_work.compute(owner)
    fresh = not_yet_recorded(records, stage_work.stage, result.failures)
    check_mass_failure(fresh, size, probing=scope.probing)
    return result


@contextmanager
def _claim(scope: StageRunConfig, records: Records, stage: Stage, limit: int) -> Iterator[tuple[str, int]]:
    """Claim a batch, keep the claim alive, and give back whatever is still held at the end."""
    owner, now = new_lease_token(), scope.clock()
    wanted = claims.Claim(
        owner, scope.stream, stage, scope.hour, limit, now, now + scope.lease_s, scope.run_id, scope.only
    )
    with records.begin() as connection:
        size = claims.claim(connection, wanted, is_running)
        if size and scope.stream == "documents" and stage != "reindex":
            content.mark_processing(connection, owner)
    if not size:
        yield owner, 0
        return

    def renew() -> None:  # if none comes in time, the lease lapses and the commit finds out
        with records.begin() as connection:
            claims.renew(connection, owner, scope.clock() + scope.lease_s)

    with heartbeat(renew, scope.lease_s / 4, "lease heartbeat"):
        try:
            yield owner, size
        except BaseException:
            with records.begin() as connection:
                claims.release(connection, owner)
            raise


def _commit(
    scope: StageRunConfig,
    records: Records,
    stage_work: StageHandler,
    owner: str,
    size: int,
    result: BatchResult,
    report: StageReport,
    started: float,
) -> None:
    """Write results, states, follow-up work and stats in one transaction, for the items that are still the owner's."""
    now = scope.clock()
    with records.begin() as connection:
        held = claims.still_owned(connection, owner)
        work_rows = content.claimed_work(connection, owner) if result.failures else ()
        rows = {ItemKey.of(row): row for row in work_rows}
        failed, retried = _sort_failures(scope, result, held, rows, now)

        def write(transaction: Transaction) -> None:
            result.write(transaction, held - result.failures.keys())
            stage_work.on_permanent_failure(transaction, failed)

        outcome = BatchOutcome(
            stream=scope.stream,
            stage=stage_work.stage,
            hour=scope.hour,
            run_id=scope.run_id,
            now=now,
            started=started,
            fingerprint=stage_work.fingerprint,
            code_version=code_version(stage_work.fingerprint),
            write=write,
            retried=retried,
            failed={key: _permanent(rows[key], error, result.tracebacks.get(key)) for key, error in failed.items()},
            continues_without=stage_work.continues_without,
            invalidates=stage_work.invalidates_on_failure,
            enqueue=result.enqueue,
            requeue={
                stage: [key for key in keys if key in held and key not in retried]
                for stage, keys in result.requeue.items()
            },
            unchanged=result.unchanged,
        )
        done = commit(connection, owner, outcome)
    _add_to(report, size - len(held), done, result, failed, retried)
    log_failures(stage_work.stage, scope.run_id, failed)


def _permanent(work_row: StoredRow, error: ChatAIError, stack: str | None) -> PermanentFailure:
    return PermanentFailure(work_row, error.code, error.failure_class, str(error), stack)


def _sort_failures(
    scope: StageRunConfig, result: BatchResult, held: set[ItemKey], rows: Mapping[ItemKey, StoredRow], now: float
) -> tuple[dict[ItemKey, ChatAIError], dict[ItemKey, Retry]]:
    """Return the items that failed permanently, and those to try again.

    Args:
        rows: the rows of work of the claim.
        now: epoch seconds.
    """
    failed: dict[ItemKey, ChatAIError] = {}
    retried: dict[ItemKey, Retry] = {}
    for key, error in result.failures.items():
        if key not in held:
            continue
        attempts = rows[key]["attempts"] + 1
        if isinstance(error, TransientError) and not error.counts_as_attempt:
            retried[key] = Retry(error.code, now + (error.retry_after or 0.0), counts_as_attempt=False)
        elif isinstance(error, TransientError) and attempts < min(
            scope.max_attempts, error.max_attempts or scope.max_attempts
        ):
            retried[key] = Retry(error.code, now + item_backoff_s(attempts, error.retry_after), counts_as_attempt=True)
        else:
            failed[key] = error
    return failed, retried


def _add_to(
    report: StageReport,
    lost: int,
    done: int,
    result: BatchResult,
    failed: Mapping[ItemKey, ChatAIError],
    retried: Mapping[ItemKey, Retry],
) -> None:
    report.done += done
    report.unchanged += result.unchanged
    report.failed.update(error.failure_class for error in failed.values())
    report.retried.update(retry.error_class for retry in retried.values())
    report.lost += lost
    report.paused |= {
        key.tenant_id: str(error) for key, error in result.failures.items() if isinstance(error, BudgetExceeded)
    }
    report.counts.update(result.counts)
    report.preview.extend(result.preview[: PREVIEW_ROWS - len(report.preview)])
    if lost:
        log.info(CLAIM_LOST, stage=report.stage, hour=report.hour, items=lost)


def reclaim_dead_leases(records: Records) -> int:
    """Take back claims of processes of this machine that no longer run; return of how many owners.

    What they held is due only after this: whoever asks which hours are due right after a crash calls it first.
    """
    with records.begin() as connection:
        freed = claims.reclaim_dead(connection, is_dead)
    if freed:
        log.info(CLAIMS_FREED, owners=freed)
    return freed
