"""Deletes and sums up old rows; each function does a bounded part and returns how much that was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, insert, literal, select, tuple_

from chatai_assets.storage.costs import FIGURES, KEYS
from chatai_assets.storage.erasure import erase_vectors
from chatai_assets.storage.items import TextKey
from chatai_assets.storage.key_values import delete_value
from chatai_assets.storage.schema import (
    checkpoints,
    chunks,
    pages,
    provider_costs,
    provider_result_uses,
    provider_results,
    stage_stats,
    tombstones,
    vectors,
    worker_dlq,
)
from chatai_assets.storage.sql import advisory_lock, insert_into

ROWS = 5_000
"""Rows of one transaction."""
GROUPS = 200
ROLLED_UP = ""
"""Run id of a row that sums up several runs."""
SUMMED = ("done", "unchanged", "failed", "retried", "seconds")
After = Sequence[Any]
"""Key of the last row, from which a walk through a table continues; empty at the beginning and at the end."""
BEGINNING: After = ()


def roll_up_stats(connection: Connection, until: float) -> int:
    """Replace statistics of batches before ``until`` by one row per stage and hour of arrival; return rows saved."""
    advisory_lock(connection, "roll up stats")
    stats = stage_stats.c
    by = (stats.stream, stats.stage, stats.hour)
    old = stats.at < until
    found = connection.execute(select(*by).where(old, stats.run_id != ROLLED_UP).distinct().limit(GROUPS))
    groups = [tuple(row) for row in found]
    if not groups:
        return 0
    mine = and_(old, tuple_(*by).in_(groups))
    sums = [func.sum(stats[name]).label(name) for name in SUMMED]
    rows = connection.execute(select(*by, func.max(stats.at).label("at"), *sums).where(mine).group_by(*by)).mappings()
    rolled_up = [{**row, "run_id": ROLLED_UP} for row in rows]
    before = connection.execute(delete(stage_stats).where(mine)).rowcount
    connection.execute(insert(stage_stats), rolled_up)
    return before - len(rolled_up)


def roll_up_costs(connection: Connection, before_day: str) -> int:
    """Sum up the costs of one day before ``before_day``, e.g. ``2026-11-21``, over hours; return the rows replaced."""
    advisory_lock(connection, "roll up costs")
    cost = provider_costs.c
    by_hour = and_(cost.day < before_day, cost.hour != "")
    day = connection.execute(select(func.min(cost.day)).where(by_hour)).scalar()
    if day is None:
        return 0
    mine = and_(cost.day == day, cost.hour != "")
    names = [name for name in KEYS if name != "hour"]
    sums = [func.sum(cost[name]).label(name) for name in FIGURES]
    summed = select(*(cost[name] for name in names), literal("").label("hour"), *sums).where(mine).group_by(*names)
    statement = insert_into(connection, provider_costs).from_select([*names, "hour", *FIGURES], summed)
    more = {name: cost[name] + statement.excluded[name] for name in FIGURES}
    connection.execute(statement.on_conflict_do_update(index_elements=KEYS, set_=more))
    return connection.execute(delete(provider_costs).where(mine)).rowcount


def drop_dead_letters(connection: Connection, until: float) -> int:
    """Delete resolved dead letters whose item failed last before ``until``."""
    return _drop(connection, worker_dlq, and_(worker_dlq.c.resolved.is_(True), worker_dlq.c.last_failed_at < until))


def drop_tombstones(connection: Connection, until: float) -> int:
    """Delete tombstones of expired items that were erased before ``until``; those of forgotten items stay."""
    stone = tombstones.c
    return _drop(connection, tombstones, and_(stone.reason == "expired", stone.erased_at < until))


def drop_pages(connection: Connection, until: float) -> int:
    """Delete linked pages that were not requested since ``until``; chunks that posts have of them stay."""
    return _drop(connection, pages, pages.c.checked_at < until)


def drop_heartbeats(connection: Connection, until: float) -> int:
    """Delete heartbeats that killed runs left behind."""
    alive = select(checkpoints.c.name, checkpoints.c.value).where(checkpoints.c.name.like("alive %"))
    gone = [name for name, value in connection.execute(alive.limit(ROWS)) if value < until]
    for name in gone:
        delete_value(connection, name)
    return len(gone)


def drop_responses(connection: Connection, until: float, after: After) -> tuple[int, After]:
    """Delete provider responses that no item uses, among the next rows; return how many, and where to continue."""
    answer, used = provider_results.c, provider_result_uses.c
    key = (answer.written_at, answer.tenant_id, answer.fingerprint)
    rows = _next_rows(connection, key, answer.written_at < until, after)
    needed = exists().where(used.tenant_id == answer.tenant_id, used.fingerprint == answer.fingerprint)
    mine = tuple_(answer.tenant_id, answer.fingerprint).in_([row[1:] for row in rows])
    gone = connection.execute(delete(provider_results).where(mine, ~needed)).rowcount if rows else 0
    return gone, rows[-1] if rows else ()


def drop_vectors(connection: Connection, after: After) -> tuple[int, After]:
    """Delete vectors of texts that no chunk has, among the next rows; return how many, and where to continue."""
    vector = vectors.c
    key = (vector.tenant_id, vector.model, vector.text_hash)
    rows = _next_rows(connection, key, None, after)
    if not rows:
        return 0, ()
    texts = {TextKey(row[0], row[2]) for row in rows}
    mine = tuple_(chunks.c.tenant_id, chunks.c.text_hash).in_(texts)
    used = {tuple(row) for row in connection.execute(select(chunks.c.tenant_id, chunks.c.text_hash).where(mine))}
    return erase_vectors(connection, texts - used), rows[-1]


def _next_rows(
    connection: Connection, key: Sequence[Any], where: ColumnElement[bool] | None, after: After
) -> list[tuple[Any, ...]]:
    wanted = select(*key).order_by(*key).limit(ROWS)
    if where is not None:
        wanted = wanted.where(where)
    if after:
        wanted = wanted.where(tuple_(*key) > tuple_(*(literal(value) for value in after)))
    return [tuple(row) for row in connection.execute(wanted)]


def _drop(connection: Connection, table: Table, where: ColumnElement[bool]) -> int:
    """Delete some of the rows that meet a condition."""
    key = table.primary_key.columns.values()
    some = [tuple(row) for row in connection.execute(select(*key).where(where).limit(ROWS))]
    mine = tuple_(*key).in_(some)
    return connection.execute(delete(table).where(mine, where)).rowcount if some else 0
