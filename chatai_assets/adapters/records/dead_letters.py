"""Quarantined items: what failed for good, why, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, tuple_, update

from chatai_assets.adapters.records.dialect import insert_into
from chatai_assets.adapters.records.schema import work, worker_dlq
from chatai_assets.domain.keys import STAGES, Stage, Stream

_KEY = ["tenant_id", "queue_name", "job_name", "job_id"]


def bury(connection: Connection, letters: Sequence[Mapping[str, Any]], *, now: float) -> None:
    """Write dead letters; the same item, stage and revision failing again updates its letter and opens it again.

    Args:
        letters: ``tenant_id queue_name job_name job_id job_data source_key error_class error_message error_stack
            attempts``.
    """
    if not letters:
        return
    rows = [
        {**letter, "first_failed_at": now, "last_failed_at": now, "created_at": now, "resolved": False}
        for letter in letters
    ]
    statement = insert_into(connection, worker_dlq)
    again = ("job_data", "error_class", "error_message", "error_stack", "attempts", "last_failed_at", "resolved")
    changes = {name: statement.excluded[name] for name in again} | {"resolution_note": None}
    connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changes), rows)


def resolve_items(
    connection: Connection, tenant_id: str, source_keys: Sequence[str], note: str, *, stages: Sequence[Stage] = STAGES
) -> int:
    """Close the open dead letters of some items, of the stages named; return how many there were."""
    result = connection.execute(
        update(worker_dlq)
        .where(
            worker_dlq.c.tenant_id == tenant_id,
            worker_dlq.c.source_key.in_(source_keys),
            worker_dlq.c.job_name.in_(stages),
            worker_dlq.c.resolved.is_(False),
        )
        .values(resolved=True, resolution_note=note)
    )
    return result.rowcount


def resolve_done(connection: Connection, owner: str, stage: Stage, note: str) -> None:
    """Close what a stage had to say of items of a claim that it is about to finish after all."""
    done = select(work.c.tenant_id, work.c.source_key).where(work.c.owner == owner)
    connection.execute(
        update(worker_dlq)
        .where(
            worker_dlq.c.resolved.is_(False),
            worker_dlq.c.job_name == stage,
            tuple_(worker_dlq.c.tenant_id, worker_dlq.c.source_key).in_(done),
        )
        .values(resolved=True, resolution_note=note)
    )


def list_letters(
    connection: Connection,
    *,
    include_resolved: bool = False,
    limit: int = 1_000,
    stream: Stream | None = None,
    item: tuple[str, str] | None = None,
) -> Sequence[RowMapping]:
    """Return dead letters, the newest failure first, as ``id stage stream source tenant_id error_class ...``.

    Args:
        item: tenant and source key; all items by default.
    """
    letter = worker_dlq.c
    statement = select(
        letter.id,
        letter.job_name.label("stage"),
        letter.queue_name.label("stream"),
        letter.source_key.label("source"),
        letter.tenant_id,
        letter.error_class,
        letter.error_message,
        letter.attempts,
        letter.last_failed_at,
        letter.resolved,
        letter.resolution_note,
        letter.job_data["run_id"].as_string().label("run_id"),
    ).order_by(letter.last_failed_at.desc(), letter.id.desc())
    if not include_resolved:
        statement = statement.where(letter.resolved.is_(False))
    if stream:
        statement = statement.where(letter.queue_name == stream)
    if item:
        statement = statement.where(letter.tenant_id == item[0], letter.source_key == item[1])
    return connection.execute(statement.limit(limit)).mappings().all()


def open_classes(connection: Connection, stream: Stream) -> dict[str, tuple[int, float]]:
    """Return error class -> how many dead letters of it are open and when the oldest was written, most first."""
    letter = worker_dlq.c
    count = func.count()
    rows = connection.execute(
        select(letter.error_class, count, func.min(letter.first_failed_at))
        .where(letter.queue_name == stream, letter.resolved.is_(False))
        .group_by(letter.error_class)
        .order_by(count.desc(), letter.error_class)
    )
    return {error_class: (number, oldest) for error_class, number, oldest in rows}


def count_open(connection: Connection, stream: Stream | None = None) -> int:
    """Return how many dead letters are open."""
    statement = select(func.count()).select_from(worker_dlq).where(worker_dlq.c.resolved.is_(False))
    if stream:
        statement = statement.where(worker_dlq.c.queue_name == stream)
    return connection.execute(statement).scalar_one()
