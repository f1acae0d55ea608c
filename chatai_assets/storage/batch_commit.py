"""Commit of one batch: results, states, dead letters, follow-up work and statistics in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.stages import Stage
from chatai_assets.domain.telegram.post import post_url_from_key
from chatai_assets.storage import dead_letters, items, projection_ledger, work_queue

DONE_NOTE = "the stage succeeded later"


@dataclass(frozen=True, slots=True)
class Retry:
    """An item that a later batch tries again.

    Attributes:
        error_class: code of the error.
        at: epoch seconds of the next attempt.
        counts_as_attempt: whether this one used up an attempt; it did not if the item was never tried.
    """

    error_class: str
    at: float
    counts_as_attempt: bool


@dataclass(frozen=True, slots=True)
class PermanentFailure:
    """An item that is given up.

    Attributes:
        work: its row of work, see ``items.claimed_work``.
        error_class: code of the error, stored with the work.
        failure_class: under which its dead letter is counted; more precise than ``error_class`` for some errors.
        stack: where in our code it happened.
    """

    work: items.ClaimedWork
    error_class: str
    failure_class: str
    message: str
    stack: str | None = None


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What becomes of the items of a claim.

    Attributes:
        now: epoch seconds.
        started: when the batch began, by the monotonic clock.
        fingerprint: what the stage computed with.
        code_version: release and fingerprint, for dead letters.
        write: writes the results, and what permanent failures mean to the items themselves. It is called when retried
            items have left the claim already and all others are still in it.
        continues_without: stages that are done, or done again, for an item without what failed here.
        invalidates: stages that look again at a failed item, if a projection holds some of it.
        enqueue: stages that become pending for every finished item that has no row of them.
        requeue: stage -> items of the claim, none of them retried, for which it becomes pending again.
        unchanged: items whose result was already there.
    """

    stream: Stream
    stage: Stage
    hour: str
    run_id: str
    now: float
    started: float
    fingerprint: str
    code_version: str
    write: Callable[[Connection], None]
    retried: Mapping[ItemKey, Retry] = field(default_factory=dict)
    failed: Mapping[ItemKey, PermanentFailure] = field(default_factory=dict)
    continues_without: Sequence[Stage] = ()
    invalidates: Sequence[Stage] = ()
    enqueue: Sequence[Stage] = ()
    requeue: Mapping[Stage, Sequence[ItemKey]] = field(default_factory=dict)
    unchanged: int = 0


def commit(connection: Connection, owner: str, outcome: BatchOutcome) -> int:
    """Write what a batch came to, for the items that are still the owner's; return how many are done.

    The caller has locked them with ``leases.still_owned`` in the same transaction. Afterwards none of them belongs to
    the claim any more.
    """
    now = outcome.now
    _reschedule(connection, owner, outcome)
    outcome.write(connection)
    _invalidate_projections(connection, owner, outcome)
    codes = [(key, failure.error_class) for key, failure in outcome.failed.items()]
    work_queue.mark_failed(connection, owner, codes, now=now)
    dead_letters.record(connection, _build_dead_letters(connection, outcome), now=now)
    work_queue.enqueue(connection, owner, outcome.enqueue, now=now)
    whole = None if outcome.failed or outcome.retried else owner
    for stage, keys in outcome.requeue.items():
        work_queue.requeue(connection, stage, keys, now=now, owner=whole)
    dead_letters.resolve_done(connection, owner, outcome.stage, DONE_NOTE)
    done = work_queue.mark_done(connection, owner, fingerprint=outcome.fingerprint, now=now)
    work_queue.add_stats(connection, _stats(outcome, done))
    return done


def _reschedule(connection: Connection, owner: str, outcome: BatchOutcome) -> None:
    """Leave items to a later batch; those that were not even tried have used up no attempt."""
    for counts, write in ((True, work_queue.reschedule), (False, work_queue.defer)):
        later = [
            (key, retry.error_class, retry.at)
            for key, retry in outcome.retried.items()
            if retry.counts_as_attempt == counts
        ]
        write(connection, owner, later, now=outcome.now)


def _invalidate_projections(connection: Connection, owner: str, outcome: BatchOutcome) -> None:
    """Have the projections drop what a failed item no longer says in any revision that they hold."""
    if not outcome.failed:
        return
    for stage in outcome.continues_without:
        _start_again(connection, owner, stage, list(outcome.failed), outcome.now)
    if outcome.invalidates:
        stale = [key for key in projection_ledger.projected_items(connection, owner) if key in outcome.failed]
        for stage in outcome.invalidates:
            _start_again(connection, owner, stage, stale, outcome.now)


def _start_again(connection: Connection, owner: str, stage: Stage, keys: Sequence[ItemKey], now: float) -> None:
    work_queue.enqueue(connection, owner, (stage,), now=now, keys=keys)
    work_queue.requeue(connection, stage, keys, now=now)


def _build_dead_letters(connection: Connection, outcome: BatchOutcome) -> list[dead_letters.NewDeadLetter]:
    labels = items.content_hashes_and_urls(connection, outcome.stream, outcome.failed.keys())
    return [
        {
            "tenant_id": key.tenant_id,
            "queue_name": outcome.stream,
            "job_name": outcome.stage,
            "job_id": f"{key.source_key}@{(row := failure.work)['seq']}",
            "job_data": {
                "source": key.source_key,
                "seq": row["seq"],
                "hour": row["hour"],
                "run_id": outcome.run_id,
            },
            "source_key": key.source_key,
            "error_class": failure.failure_class,
            "error_message": failure.message,
            "error_stack": failure.stack,
            "attempts": max(row["attempts"] + 1, row["losses"]),
            "input_fingerprint": labels[key][0] if key in labels else None,
            "code_version": outcome.code_version,
            "url": (labels[key][1] if key in labels else None) or post_url_from_key(key.source_key),
        }
        for key, failure in outcome.failed.items()
    ]


def _stats(outcome: BatchOutcome, done: int) -> work_queue.BatchStats:
    return {
        "run_id": outcome.run_id,
        "stream": outcome.stream,
        "stage": outcome.stage,
        "hour": outcome.hour,
        "at": outcome.now,
        "done": done,
        "unchanged": outcome.unchanged,
        "failed": len(outcome.failed),
        "retried": len(outcome.retried),
        "seconds": time.monotonic() - outcome.started,
    }
