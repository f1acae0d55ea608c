"""Work of building a second vector index: enqueued for every item in batches, deleted when the index is active."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, tuple_, update

from chatai_assets.domain.ids import STREAMS, ItemKey
from chatai_assets.domain.stages import Stage
from chatai_assets.domain.text.chunking import BODY
from chatai_assets.storage import dead_letters
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.dead_letters import DeadLetterFilter
from chatai_assets.storage.key_values import delete_value, get_value, put_value
from chatai_assets.storage.projection_ledger import Projection
from chatai_assets.storage.schema import chunks, index_ledger, vectors
from chatai_assets.storage.schema import work as rows
from chatai_assets.storage.sql import lock_rows

REINDEX: Stage = "reindex"
CHECKPOINT = "opened for reindexing"
"""``[number of the index, key of the last item that was enqueued]``; None instead of the key once all are."""
ITEMS = 2_000
NOTE = "the index it was for serves now, or was given up"


def start_enqueueing(connection: Connection, number: int) -> None:
    """Start enqueueing all items for an index, from the first."""
    put_value(connection, CHECKPOINT, [number, ["", ""]])


def enqueued_index(connection: Connection) -> int | None:
    """Return the number of the index for which items were enqueued last; None after their work was deleted."""
    known, _ = get_value(connection, CHECKPOINT) or (None, None)
    return known


def enqueue_some(connection: Connection, number: int, *, now: float) -> int:
    """Enqueue the next items for an index; return how many, 0 once all are enqueued."""
    known, after = get_value(connection, CHECKPOINT) or (None, None)
    if known != number or after is None:
        return 0
    place = (rows.c.tenant_id, rows.c.source_key)
    following = and_(rows.c.stage == "parse", tuple_(*place) > tuple(after))
    found = connection.execute(select(*place).where(following).order_by(*place).limit(ITEMS)).all()
    keys = [ItemKey(tenant_id, key) for tenant_id, key in found]
    enqueue_items(connection, keys, now=now)
    put_value(connection, CHECKPOINT, [number, list(keys[-1]) if keys else None])
    return len(keys)


def enqueue_items(connection: Connection, keys: list[ItemKey], *, now: float) -> None:
    """Make items pending for the index that is being built."""
    work.enqueue_stage(connection, "parse", REINDEX, keys, now=now)
    work.requeue(connection, REINDEX, keys, now=now)


def count_states(connection: Connection) -> dict[str, int]:
    """Return state -> items, of the index that is being built."""
    counted = select(rows.c.state, func.count()).where(_mine()).group_by(rows.c.state)
    return {state: count for state, count in connection.execute(counted)}  # noqa: C416 - rows are Row objects to mypy


def next_attempt(connection: Connection) -> float | None:
    """Return the epoch second at which the next pending item may be tried; None if none is pending."""
    waiting = select(func.min(rows.c.next_attempt_at)).where(_mine(), rows.c.state == "pending")
    return connection.execute(waiting).scalar()


def missed_items(connection: Connection, serving: Projection, filling: Projection) -> list[ItemKey]:
    """Return some items that the active index holds and that were never enqueued for the other one.

    An edit that is not parsed yet deleted their work: until then search must find the revision before it.
    """
    mine, other = index_ledger.alias("mine"), index_ledger.alias("other")
    same = and_(
        other.c.tenant_id == mine.c.tenant_id, other.c.source_key == mine.c.source_key, other.c.projection == filling
    )
    done = and_(rows.c.tenant_id == mine.c.tenant_id, rows.c.source_key == mine.c.source_key, rows.c.stage == REINDEX)
    statement = select(mine.c.tenant_id, mine.c.source_key, mine.c.confirmed)
    statement = statement.outerjoin(other, same).outerjoin(rows, done)
    absent = (mine.c.projection == serving, other.c.source_key.is_(None), rows.c.source_key.is_(None))
    found = connection.execute(statement.where(*absent))
    return [ItemKey(tenant_id, key) for tenant_id, key, confirmed in found if confirmed][:ITEMS]


def clear_some(connection: Connection, changes: dict[Stage, tuple[str, str]]) -> int:
    """Delete the reindexing work of some items after the switch; return of how many.

    Args:
        changes: stage -> fingerprint of its finished work, and the fingerprint of what is active now.
    """
    some = select(rows.c.tenant_id, rows.c.source_key, rows.c.state).where(_mine()).limit(ITEMS)
    found = connection.execute(some).all()
    keys = [ItemKey(tenant_id, key) for tenant_id, key, _ in found]
    done = [ItemKey(tenant_id, key) for tenant_id, key, state in found if state == "done"]
    at_stake = and_(rows.c.stage.in_((REINDEX, *changes)), tuple_(rows.c.tenant_id, rows.c.source_key).in_(keys))
    lock_rows(connection, select(rows.c.seq).where(at_stake).order_by(rows.c.seq, rows.c.stage))
    for stage, (before, after) in changes.items() if done else ():
        mine = and_(rows.c.stage == stage, tuple_(rows.c.tenant_id, rows.c.source_key).in_(done))
        current = and_(mine, rows.c.state == "done", rows.c.fingerprint == before)
        connection.execute(update(rows).where(current).values(fingerprint=after))
    work.discard(connection, REINDEX, keys)
    if not keys:
        dead_letters.resolve(connection, dead_letters.ids_of(connection, DeadLetterFilter(stage=REINDEX)), NOTE)
        delete_value(connection, CHECKPOINT)
    return len(keys)


def drop_vectors_of(connection: Connection, model: str) -> int:
    """Delete some of the vectors of a model; return how many."""
    key = (vectors.c.tenant_id, vectors.c.model, vectors.c.text_hash)
    some = connection.execute(select(*key).where(vectors.c.model == model).limit(ITEMS)).all()
    if some:
        connection.execute(delete(vectors).where(tuple_(*key).in_([tuple(row) for row in some])))
    return len(some)


def _mine() -> ColumnElement[bool]:
    # The condition on the stream selects everything, but lets the database use an index.
    return and_(rows.c.stream.in_(STREAMS), rows.c.stage == REINDEX)


TENANTS = 100


def sample_chunks(connection: Connection, places: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return tenant, source key and text of sample chunks, round robin between tenants; fewer if there are not enough.

    Args:
        places: hex digits, one string per sample: the chunk with the next larger text hash is taken.
    """
    some = select(rows.c.tenant_id).where(_indexed()).distinct().limit(TENANTS)
    tenants = sorted(connection.execute(some).scalars())
    found = [
        _chunk_after(connection, tenants[n % len(tenants)], place) for n, place in enumerate(places if tenants else ())
    ]
    return list(dict.fromkeys(chunk for chunk in found if chunk))


def _chunk_after(connection: Connection, tenant_id: str, place: str) -> tuple[str, str, str] | None:
    same = and_(rows.c.tenant_id == chunks.c.tenant_id, rows.c.source_key == chunks.c.source_key)
    mine = and_(chunks.c.tenant_id == tenant_id, chunks.c.text_hash >= place, chunks.c.part == BODY, _indexed())
    statement = select(chunks.c.source_key, chunks.c.text).join(rows, same).where(mine)
    row = connection.execute(statement.order_by(chunks.c.text_hash, chunks.c.source_key).limit(1)).first()
    return (tenant_id, row[0], row[1]) if row else None


def _indexed() -> ColumnElement[bool]:
    return and_(rows.c.stage == "index", rows.c.state == "done")
