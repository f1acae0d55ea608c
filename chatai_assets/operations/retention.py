"""Deletes or rolls up old rows of the record store, a bounded number in each transaction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from chatai_assets.domain.costs import DAY_S, day_of
from chatai_assets.observability import RETAINED, log
from chatai_assets.settings.retention import RetentionSettings
from chatai_assets.storage import retention
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.retention import BEGINNING, After

DeleteSome = Callable[[Transaction], int]
ScanSome = Callable[[Transaction, After], tuple[int, After]]


def apply_retention(
    records: Records,
    settings: RetentionSettings,
    *,
    budget_s: float = float("inf"),
    clock: Callable[[], float] = time.time,
) -> Counter[str]:
    """Delete and roll up old rows; return kind -> how many were deleted.

    It is idempotent; after an interruption, or when the time is up, the next call does the rest.

    Args:
        budget_s: seconds after which no further transaction is started.

    Raises:
        StoreUnavailable: the record store cannot be written.
    """
    ends = time.monotonic() + budget_s
    deleted: Counter[str] = Counter()
    for kind, step in _repeated_steps(settings, clock()):
        while time.monotonic() < ends and (rows := _run_step(records, step)):
            deleted[kind] += rows
    for kind, scan in _table_scans(settings, clock()):
        deleted[kind] += _run_scan(records, scan, ends)
    log.info(RETAINED, **deleted)
    return deleted


def _repeated_steps(settings: RetentionSettings, now: float) -> Iterator[tuple[str, DeleteSome]]:
    """Yield steps that are repeated until they delete nothing."""
    if settings.stats_s is not None:
        yield "stage_stats", partial(retention.roll_up_stats, until=now - settings.stats_s)
    if settings.costs_s is not None:
        yield "costs", partial(retention.roll_up_costs, before_day=day_of(now - settings.costs_s))
    if settings.letters_s is not None:
        yield "dead_letters", partial(retention.drop_dead_letters, until=now - settings.letters_s)
    if settings.tombstones_s is not None:
        yield "tombstones", partial(retention.drop_tombstones, until=now - settings.tombstones_s)
    if settings.answers_s is not None:
        yield "pages", partial(retention.drop_pages, until=now - settings.answers_s)
    yield "pulses", partial(retention.drop_heartbeats, until=now - DAY_S)


def _table_scans(settings: RetentionSettings, now: float) -> Iterator[tuple[str, ScanSome]]:
    """Yield scans that read a table once, since most of its rows stay."""
    if settings.answers_s is not None:
        until = now - settings.answers_s
        yield "answers", lambda connection, after: retention.drop_responses(connection, until, after)
    yield "vectors", retention.drop_vectors


def _run_step(records: Records, step: DeleteSome) -> int:
    with records.begin() as connection:
        return step(connection)


def _run_scan(records: Records, scan: ScanSome, ends: float) -> int:
    deleted, after = 0, BEGINNING
    while time.monotonic() < ends:
        with records.begin() as connection:
            rows, after = scan(connection, after)
        deleted += rows
        if not after:
            break
    return deleted
