"""Arrivals: append-only, idempotent; the first thing that happens to an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, update

from chatai_assets.adapters.records import dead_letters
from chatai_assets.adapters.records.checkpoints import read_checkpoint, write_checkpoint
from chatai_assets.adapters.records.dialect import insert_into, upsert
from chatai_assets.adapters.records.schema import documents, inbox, posts, work
from chatai_assets.domain.keys import hour_of
from chatai_assets.domain.revisions import Arrival, Kind, Known, Outcome, idempotency_key, judge

NEWEST_HOUR = "newest_hour"
SUPERSEDED_NOTE = "a newer revision arrived"


@dataclass(frozen=True, slots=True)
class _Verdict:
    arrival: Arrival
    outcome: Outcome
    key: str


def table_of(kind: Kind) -> Table:
    """Return the table that holds the items of a kind."""
    return posts if kind == "post" else documents


def receive(
    connection: Connection, tenant_id: str, kind: Kind, arrivals: Sequence[Arrival], *, now: float
) -> list[Outcome]:
    """Store a batch of arrivals and make the latest revisions pending.

    Everything happens in the caller's transaction: after it, an arrival is either stored with its
    work or was never seen.

    Args:
        arrivals: of one tenant and kind, in the order in which they came.
        now: epoch seconds.

    Returns:
        what each arrival turned out to be, in order.
    """
    hour = arrival_hour(connection, now)
    known = known_items(connection, tenant_id, kind, {arrival.source_key for arrival in arrivals})
    verdicts = _judge_all(arrivals, dict(known))
    seqs = _append(connection, verdicts, now)
    fresh = [verdict for verdict in verdicts if verdict.outcome == "latest" and verdict.key in seqs]
    latest = list({verdict.arrival.source_key: verdict for verdict in fresh}.values())
    _set_latest(connection, kind, latest, seqs, hour, now)
    _touch(connection, kind, verdicts, known)
    _make_pending(connection, kind, latest, seqs, hour, now, known)
    return [verdict.outcome if verdict.key in seqs else "unchanged" for verdict in verdicts]


def arrival_hour(connection: Connection, now: float) -> str:
    """Return the hour of an arrival: the clock's, or the newest one stored if the clock was set back."""
    hour = max(hour_of(now), str(read_checkpoint(connection, NEWEST_HOUR) or ""))
    write_checkpoint(connection, NEWEST_HOUR, hour)
    return hour


def known_items(connection: Connection, tenant_id: str, kind: Kind, keys: set[str]) -> dict[str, Known]:
    """Return source key -> latest known revision, of those items that are known; they stay so until the commit."""
    table = table_of(kind)
    columns = (table.c.source_key, table.c.seq, table.c.revised_at, table.c.content_hash)
    rows = connection.execute(
        select(*columns).where(table.c.tenant_id == tenant_id, table.c.source_key.in_(keys)).with_for_update()
    )
    return {key: Known(seq, revised_at, content_hash) for key, seq, revised_at, content_hash in rows}


def _judge_all(arrivals: Sequence[Arrival], known: dict[str, Known]) -> list[_Verdict]:
    """Judge each arrival against what the store and the arrivals before it in this batch said."""
    verdicts = []
    for arrival in arrivals:
        before = known.get(arrival.source_key)
        outcome = judge(arrival, before)
        verdicts.append(_Verdict(arrival, outcome, idempotency_key(arrival, before)))
        if outcome == "latest":
            known[arrival.source_key] = Known(before.seq if before else 0, arrival.revised_at, arrival.content_hash)
    return verdicts


def _append(connection: Connection, verdicts: Sequence[_Verdict], now: float) -> dict[str, int]:
    """Append what is new to the inbox; return idempotency key -> seq of the new rows only."""
    candidates = {verdict.key: verdict for verdict in verdicts if verdict.outcome != "unchanged"}
    if not candidates:
        return {}
    before = int(connection.execute(select(func.coalesce(func.max(inbox.c.seq), 0))).scalar_one())
    rows = [_row(verdict, now) for verdict in candidates.values()]
    connection.execute(insert_into(connection, inbox).on_conflict_do_nothing(index_elements=["idempotency_key"]), rows)
    found = connection.execute(
        select(inbox.c.idempotency_key, inbox.c.seq).where(
            inbox.c.idempotency_key.in_(list(candidates)), inbox.c.seq > before
        )
    )
    return {row.idempotency_key: row.seq for row in found}


def _row(verdict: _Verdict, now: float) -> dict[str, Any]:
    arrival = verdict.arrival
    return {
        "idempotency_key": verdict.key,
        "source": arrival.door,
        "tenant_id": arrival.tenant_id,
        "kind": arrival.kind,
        "source_key": arrival.source_key,
        "record_format": arrival.record_format,
        "payload": arrival.payload,
        "content_hash": arrival.content_hash,
        "revised_at": arrival.revised_at,
        "outcome": verdict.outcome,
        "received_at": now,
    }


def _set_latest(
    connection: Connection, kind: Kind, latest: Sequence[_Verdict], seqs: dict[str, int], hour: str, now: float
) -> None:
    rows = []
    for verdict in latest:
        arrival = verdict.arrival
        row: dict[str, Any] = {
            "tenant_id": arrival.tenant_id,
            "source_key": arrival.source_key,
            "seq": seqs[verdict.key],
            "revised_at": arrival.revised_at,
            "content_hash": arrival.content_hash,
            "hour": hour,
            "received_at": now,
        }
        if kind == "document":
            row |= {
                "file_name": arrival.payload["file_name"],
                "size_bytes": arrival.payload["size_bytes"],
                "status": "pending",
                "error": None,
                "error_code": None,
            }
        rows.append(row)
    upsert(connection, table_of(kind), rows)


def _touch(connection: Connection, kind: Kind, verdicts: Sequence[_Verdict], known: dict[str, Known]) -> None:
    """Move the date of items that were only re-dated, so that a revision between the two dates stays superseded."""
    table = table_of(kind)
    for verdict in verdicts:
        arrival = verdict.arrival
        before = known.get(arrival.source_key)
        if verdict.outcome == "unchanged" and before and arrival.revised_at > before.revised_at:
            connection.execute(
                update(table)
                .where(
                    table.c.tenant_id == arrival.tenant_id,
                    table.c.source_key == arrival.source_key,
                    table.c.content_hash == arrival.content_hash,
                    table.c.revised_at < arrival.revised_at,
                )
                .values(revised_at=arrival.revised_at)
            )


def _make_pending(
    connection: Connection,
    kind: Kind,
    latest: Sequence[_Verdict],
    seqs: dict[str, int],
    hour: str,
    now: float,
    known: dict[str, Known],
) -> None:
    edited = [verdict.arrival for verdict in latest if verdict.arrival.source_key in known]
    if edited:
        tenant_id, keys = edited[0].tenant_id, [arrival.source_key for arrival in edited]
        connection.execute(delete(work).where(work.c.tenant_id == tenant_id, work.c.source_key.in_(keys)))
        dead_letters.resolve_items(connection, tenant_id, keys, SUPERSEDED_NOTE)
    upsert(
        connection,
        work,
        [
            {
                "tenant_id": verdict.arrival.tenant_id,
                "source_key": verdict.arrival.source_key,
                "stage": "parse",
                "stream": "posts" if kind == "post" else "documents",
                "hour": hour,
                "seq": seqs[verdict.key],
                "state": "pending",
                "attempts": 0,
                "next_attempt_at": 0.0,
                "changed_at": now,
            }
            for verdict in latest
        ],
    )


def has_copy(connection: Connection, tenant_id: str, file_name: str, content_hash: str) -> str | None:
    """Return the source key of a document of the same name and bytes, whichever folder it came from."""
    return connection.execute(
        select(documents.c.source_key).where(
            documents.c.tenant_id == tenant_id,
            documents.c.file_name == file_name,
            documents.c.content_hash == content_hash,
        )
    ).scalar()
