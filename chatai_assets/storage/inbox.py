"""The inbox: stores arrivals, append-only and idempotent, and makes the latest revisions pending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, exists, insert, select, update

from chatai_assets.domain.ids import hour_of
from chatai_assets.domain.revisions import (
    Arrival,
    ArrivalOutcome,
    Kind,
    KnownRevision,
    classify_arrival,
    idempotency_key,
    known_after,
)
from chatai_assets.storage import dead_letters, schema, tombstones
from chatai_assets.storage.key_values import get_value, put_value
from chatai_assets.storage.schema import documents, inbox, posts, work
from chatai_assets.storage.sql import advisory_lock, lock_rows, upsert

NEWEST_HOUR = "newest_hour"
SUPERSEDED_NOTE = "a newer revision arrived"

_Fresh = tuple[Arrival, int, int]
"""A latest revision, its seq, and its revision date."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How an arrival was classified; ``new`` if the inbox stores it."""

    arrival: Arrival
    outcome: ArrivalOutcome
    key: str
    new: bool


def table_of_kind(kind: Kind) -> Table:
    """Return the table that holds the items of a kind."""
    return posts if kind == "post" else documents


def receive(
    connection: Connection, tenant_id: str, kind: Kind, arrivals: Sequence[Arrival], *, now: float
) -> list[ArrivalOutcome]:
    """Store a batch of arrivals and make the latest revisions pending.

    Everything happens in the caller's transaction: afterwards an arrival is either stored with its
    work or not stored at all. Arrivals of one tenant and kind are serialized by a lock.

    Args:
        arrivals: of one tenant and kind, in the order in which they came.
        now: epoch seconds.

    Returns:
        what each arrival turned out to be, in order.
    """
    tombstones.lock_inbox(connection, tenant_id, kind)
    hour = arrival_hour(connection, now)
    before = _known_items(connection, tenant_id, kind, {arrival.source_key for arrival in arrivals})
    after = dict(before)
    verdicts = _classify_all(arrivals, after, _seen_keys(connection, arrivals))
    latest = {verdict.arrival.source_key: verdict for verdict in verdicts if verdict.outcome == "latest"}
    seqs = _append(connection, [verdict for verdict in verdicts if verdict.new], now)
    fresh = {key: (verdict.arrival, seqs[verdict.key], after[key].revised_at) for key, verdict in latest.items()}
    edited = [key for key in fresh if key in before]
    _delete_work(connection, tenant_id, edited)
    tombstones.remove(connection, tenant_id, edited)
    _set_latest(connection, kind, fresh, hour, now)
    _redate(connection, tenant_id, kind, before, {key: known for key, known in after.items() if key not in fresh})
    dead_letters.resolve_items(connection, tenant_id, edited, SUPERSEDED_NOTE)
    _make_pending(connection, tenant_id, kind, fresh, hour, now)
    return [verdict.outcome for verdict in verdicts]


def is_empty(connection: Connection) -> bool:
    """Return whether the inbox holds no arrival at all."""
    return not connection.execute(select(exists(select(inbox.c.seq)))).scalar_one()


def arrival_hour(connection: Connection, now: float) -> str:
    """Return the hour of an arrival: the current one, or the newest stored one if the clock was set back."""
    hour, newest = hour_of(now), str(get_value(connection, NEWEST_HOUR) or "")
    if hour > newest:
        advisory_lock(connection, NEWEST_HOUR)
        newest = str(get_value(connection, NEWEST_HOUR) or "")
        put_value(connection, NEWEST_HOUR, max(hour, newest))
    return max(hour, newest)


def find_document_key(connection: Connection, tenant_id: str, own: str, file_name: str, content_hash: str) -> str:
    """Return the source key of a file: its own if it is known, else that of a file with the same name and content.

    Args:
        own: the key derived from the path of the file.
    """
    tombstones.lock_inbox(connection, tenant_id, "document")
    if _known_items(connection, tenant_id, "document", {own}):
        return own
    twin = select(documents.c.source_key).where(
        documents.c.tenant_id == tenant_id,
        documents.c.file_name == file_name,
        documents.c.content_hash == content_hash,
    )
    found = connection.execute(twin.order_by(documents.c.seq)).scalar()
    return found or tombstones.matching_tombstone(connection, tenant_id, file_name, content_hash) or own


def _known_items(connection: Connection, tenant_id: str, kind: Kind, keys: set[str]) -> dict[str, KnownRevision]:
    """Return source key -> latest known revision, for known items and for those with a tombstone."""
    table = table_of_kind(kind)
    columns = (table.c.source_key, table.c.seq, table.c.revised_at, table.c.content_hash)
    rows = connection.execute(select(*columns).where(table.c.tenant_id == tenant_id, table.c.source_key.in_(keys)))
    found = {key: KnownRevision(seq, revised_at, content_hash) for key, seq, revised_at, content_hash in rows}
    return found | tombstones.erased_revisions(connection, tenant_id, keys)


def _seen_keys(connection: Connection, arrivals: Sequence[Arrival]) -> set[str]:
    """Return the idempotency keys of posts that arrived before, even if later revisions followed."""
    wanted = {idempotency_key(arrival, None) for arrival in arrivals if arrival.kind == "post"}
    if not wanted:
        return set()
    return set(connection.execute(select(inbox.c.idempotency_key).where(inbox.c.idempotency_key.in_(wanted))).scalars())


def _classify_all(arrivals: Sequence[Arrival], known: dict[str, KnownRevision], seen: set[str]) -> list[_Verdict]:
    """Classify each arrival against the store and the earlier arrivals of the batch.

    Args:
        known: the latest known revisions; updated in place.
        seen: idempotency keys that arrived before; updated in place.
    """
    verdicts = []
    for arrival in arrivals:
        before = known.get(arrival.source_key)
        key = idempotency_key(arrival, before)
        outcome: ArrivalOutcome = "unchanged" if key in seen else classify_arrival(arrival, before)
        new = key not in seen and _is_stored(arrival, before, outcome)
        after = known_after(arrival, before, outcome)
        if after:
            known[arrival.source_key] = after
        if new:
            seen.add(key)
        verdicts.append(_Verdict(arrival, outcome, key, new))
    return verdicts


def _is_stored(arrival: Arrival, known: KnownRevision | None, outcome: ArrivalOutcome) -> bool:
    """Return whether the inbox stores an arrival: not if it makes no work and its item has a tombstone.

    A post with unchanged text and a new date is stored, so that a second arrival of it is recognized.
    """
    if outcome == "latest":
        return True
    if known is not None and known.erased:
        return False
    return outcome == "superseded" or (arrival.kind == "post" and outcome == "unchanged")


def _append(connection: Connection, verdicts: Sequence[_Verdict], now: float) -> dict[str, int]:
    """Append arrivals to the inbox; return idempotency key -> seq."""
    if not verdicts:
        return {}
    connection.execute(insert(inbox), [_row(verdict, now) for verdict in verdicts])
    keys = [verdict.key for verdict in verdicts]
    found = connection.execute(select(inbox.c.idempotency_key, inbox.c.seq).where(inbox.c.idempotency_key.in_(keys)))
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


def _delete_work(connection: Connection, tenant_id: str, edited: Sequence[str]) -> None:
    """Delete the work of edited items, which ends claims on earlier revisions; locked before items, as commits do."""
    mine = and_(work.c.tenant_id == tenant_id, work.c.source_key.in_(edited))
    lock_rows(connection, select(work.c.seq).where(mine).order_by(work.c.seq, work.c.stage))
    connection.execute(delete(work).where(mine))


def _set_latest(connection: Connection, kind: Kind, fresh: Mapping[str, _Fresh], hour: str, now: float) -> None:
    rows = []
    for arrival, seq, revised_at in fresh.values():
        row: dict[str, Any] = {
            "tenant_id": arrival.tenant_id,
            "source_key": arrival.source_key,
            "seq": seq,
            "revised_at": revised_at,
            "content_hash": arrival.content_hash,
            "hour": hour,
            "received_at": now,
            "expires_at": None,  # clears that of the earlier revision; parsing sets it again
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
    upsert(connection, table_of_kind(kind), rows)


def _redate(
    connection: Connection,
    tenant_id: str,
    kind: Kind,
    before: Mapping[str, KnownRevision],
    after: Mapping[str, KnownRevision],
) -> None:
    """Update the revision dates of items whose date alone changed."""
    moved = [
        {"tenant": tenant_id, "key": key, "date": known.revised_at}
        for key, known in after.items()
        if known.revised_at != before[key].revised_at
    ]
    for table in (table_of_kind(kind), schema.tombstones) if moved else ():
        connection.execute(
            update(table)
            .where(table.c.tenant_id == bindparam("tenant"), table.c.source_key == bindparam("key"))
            .values(revised_at=bindparam("date")),
            moved,
        )


def _make_pending(
    connection: Connection,
    tenant_id: str,
    kind: Kind,
    fresh: Mapping[str, _Fresh],
    hour: str,
    now: float,
) -> None:
    """Make the latest revisions pending at the first stage."""
    rows = [
        {
            "tenant_id": tenant_id,
            "source_key": key,
            "stage": "parse",
            "stream": "posts" if kind == "post" else "documents",
            "hour": hour,
            "seq": seq,
            "state": "pending",
            "changed_at": now,
        }
        for key, (_, seq, _) in fresh.items()
    ]
    if rows:
        connection.execute(insert(work), rows)
