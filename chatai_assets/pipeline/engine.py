"""How every stage works: claim, compute, commit results and state together, batch by batch.

A stage is a ``StageHandler``: it computes a batch of claimed items outside any transaction and says
what to write. What becomes of items that fail is decided for all stages by ``domain.failure_policy``.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from chatai_assets.domain.errors import BudgetExceeded, ChatAIError
from chatai_assets.domain.failure_policy import check_mass_failure, next_attempt
from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.stages import STAGES, Stage, StageSpec, enqueued_after
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
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.heartbeat import heartbeat
from chatai_assets.storage.items import ClaimedWork

PREVIEW_ROWS = 10


@dataclass(frozen=True, slots=True)
class StageRunConfig:
    """What a run works on.

    Attributes:
        run_items: items per stage at most; the rest waits for the next run.
        batch_items: items per claim and transaction.
        projection_items: items per claim of the stages that write a projection, under one lock of its store.
        lease_s: seconds without heartbeat after which a claim lapses.
        max_attempts: tries of one item after which a transient failure counts as permanent.
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
    lease_s: float
    max_attempts: int
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
        lost: items that were edited or redone meanwhile, and belong to another claim or to none.
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
        failures: item -> its error.
        tracebacks: item -> where in our code an unforeseen exception was raised.
        requeue: stage -> items for which it becomes pending again.
        unchanged: items whose result was already there.
    """

    write: Callable[[Transaction, set[ItemKey]], None]
    failures: dict[ItemKey, ChatAIError] = field(default_factory=dict)
    tracebacks: dict[ItemKey, str] = field(default_factory=dict)
    requeue: dict[Stage, list[ItemKey]] = field(default_factory=dict)
    unchanged: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    preview: list[dict[str, Any]] = field(default_factory=list)


class StageHandler(Protocol):
    """What one stage adds to the engine."""

    @property
    def spec(self) -> StageSpec:
        """Which stage this is."""
        ...

    @property
    def fingerprint(self) -> str:
        """With what the stage computes: model, prompt and code versions."""
        ...

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        """Write what permanent failures mean to the items themselves: a document's status, earlier results."""
        ...

    def process_batch(self, owner: str) -> BatchResult:
        """Compute the items of a claim, outside any transaction; raise ``Outage`` if none of them can be done."""
        ...


def run_batches(
    config: StageRunConfig, records: Records, handler: StageHandler, *, batch_items: int | None = None
) -> StageReport:
    """Do what is due of one stage in one hour, at most ``config.run_items`` items.

    Raises:
        Outage: something all items need is down; what was claimed is given back, no attempt is used up.
        AllBudgetsExceeded: all that waits is over its tenant's budget, and no run of this hour has said so today.
    """
    report = StageReport(handler.spec.name, config.stream, config.hour)
    started = time.monotonic()
    reclaim_dead_leases(records)
    with records.reading() as connection:
        already_reported = budgets.pause_already_reported(
            connection, config.stream, handler.spec.name, config.hour, config.clock()
        )
    while report.taken < config.run_items and time.monotonic() - started < config.budget_s:
        limit = min(batch_items or config.batch_items, config.run_items - report.taken)
        if not _run_batch(config, records, handler, limit, report):
            break
    report.seconds = time.monotonic() - started
    if report.is_paused and not already_reported:
        raise budgets.all_budgets_exceeded(report.paused)
    with records.reading() as connection:
        report.hour_states = work.hour_states(connection, config.stream, handler.spec.name, config.hour)
        report.hour_costs = costs.costs_of_hour(connection, config.stream, handler.spec.name, config.hour)
    return report


def _run_batch(
    config: StageRunConfig, records: Records, handler: StageHandler, limit: int, report: StageReport
) -> bool:
    started = time.monotonic()
    with _claim(config, records, handler.spec.name, limit) as (owner, size):
        if not size:
            return False
        result = _process(config, records, handler, owner, size)
        _commit(config, records, handler, owner, size, result, report, started)
    return True


def _process(config: StageRunConfig, records: Records, handler: StageHandler, owner: str, size: int) -> BatchResult:
    # An item that may be poison is claimed alone.
    poison = poison_items(records, owner, handler.spec.name, config.clock()) if size == 1 else {}
    if poison:
        return BatchResult(write=lambda _connection, _keys: None, failures=dict(poison))
    result = handler.process_batch(owner)
    fresh = not_yet_recorded(records, handler.spec.name, result.failures)
    check_mass_failure(fresh, size, probing=config.probing)
    return result


@contextmanager
def _claim(config: StageRunConfig, records: Records, stage: Stage, limit: int) -> Iterator[tuple[str, int]]:
    """Claim a batch, keep the claim alive, and give back whatever is still held at the end."""
    owner, now = new_lease_token(), config.clock()
    wanted = claims.Claim(
        owner, config.stream, stage, config.hour, limit, now, now + config.lease_s, config.run_id, config.only
    )
    with records.begin() as connection:
        size = claims.claim(connection, wanted, is_running)
        if size and config.stream == "documents" and STAGES[stage].role != "rebuild":
            content.mark_processing(connection, owner)
    if not size:
        yield owner, 0
        return

    def renew() -> None:  # if none comes in time, the lease lapses and the commit finds out
        with records.begin() as connection:
            claims.renew(connection, owner, config.clock() + config.lease_s)

    with heartbeat(renew, config.lease_s / 4, "lease heartbeat"):
        try:
            yield owner, size
        except BaseException:
            with records.begin() as connection:
                claims.release(connection, owner)
            raise


def _commit(
    config: StageRunConfig,
    records: Records,
    handler: StageHandler,
    owner: str,
    size: int,
    result: BatchResult,
    report: StageReport,
    started: float,
) -> None:
    """Write results, states, follow-up work and stats in one transaction, for the items that are still the owner's."""
    now = config.clock()
    with records.begin() as connection:
        held = claims.still_owned(connection, owner)
        work_rows = content.claimed_work(connection, owner) if result.failures else ()
        rows = {ItemKey.of(row): row for row in work_rows}
        failed, retried = _sort_failures(config, handler.spec, result, held, rows, now)

        def write(transaction: Transaction) -> None:
            result.write(transaction, held - result.failures.keys())
            handler.on_permanent_failure(transaction, failed)

        outcome = BatchOutcome(
            stream=config.stream,
            stage=handler.spec.name,
            hour=config.hour,
            run_id=config.run_id,
            now=now,
            started=started,
            fingerprint=handler.fingerprint,
            code_version=code_version(handler.fingerprint),
            write=write,
            retried=retried,
            failed={key: _permanent(rows[key], error, result.tracebacks.get(key)) for key, error in failed.items()},
            continues_without=handler.spec.continues_without,
            invalidates=handler.spec.invalidates_on_failure,
            enqueue=enqueued_after(handler.spec.name),
            requeue={
                stage: [key for key in keys if key in held and key not in retried]
                for stage, keys in result.requeue.items()
            },
            unchanged=result.unchanged,
        )
        done = commit(connection, owner, outcome)
    _add_to(report, size - len(held), done, result, failed, retried)
    log_failures(handler.spec.name, config.run_id, failed)


def _permanent(work_row: ClaimedWork, error: ChatAIError, stack: str | None) -> PermanentFailure:
    return PermanentFailure(work_row, error.code, error.failure_class, str(error), stack)


def _sort_failures(
    config: StageRunConfig,
    spec: StageSpec,
    result: BatchResult,
    held: set[ItemKey],
    rows: Mapping[ItemKey, ClaimedWork],
    now: float,
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
        again = next_attempt(error, rows[key]["attempts"] + 1, config.max_attempts, spec.backoff)
        if again is None:
            failed[key] = error
        else:
            retried[key] = Retry(error.code, now + again.delay_s, again.counts_as_attempt)
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

    What they held is due only after this: call it before asking which hours are due right after a crash.
    """
    with records.begin() as connection:
        freed = claims.reclaim_dead(connection, is_dead)
    if freed:
        log.info(CLAIMS_FREED, owners=freed)
    return freed
