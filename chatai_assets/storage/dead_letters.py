"""Dead letters: items that failed permanently at a stage, why, and how they were resolved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, bindparam, delete, func, select, tuple_, update

from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.stages import ITEM_STAGES, Stage
from chatai_assets.storage.schema import work, worker_dlq
from chatai_assets.storage.sql import fetch_all, insert_into

_KEY = ["tenant_id", "queue_name", "job_name", "job_id"]


class NewDeadLetter(TypedDict):
    """A dead letter to be written.

    Attributes:
        queue_name: the stream.
        job_name: the stage.
        job_id: source key and revision.
        job_data: ``source seq hour run_id``.
        error_stack: where in our code it happened.
        input_fingerprint: hash of the revision's content.
        code_version: release, and with what the stage computed.
        url: where people open the post.
    """

    tenant_id: str
    queue_name: Stream
    job_name: Stage
    job_id: str
    job_data: Mapping[str, Any]
    source_key: str
    error_class: str
    error_message: str
    error_stack: str | None
    attempts: int
    input_fingerprint: str | None
    code_version: str | None
    url: str | None


class DeadLetterRow(TypedDict):
    """A dead letter as lists show it; moments are epoch seconds."""

    id: int
    stage: Stage
    stream: Stream
    source: str
    tenant_id: str
    error_class: str
    error_message: str
    attempts: int
    first_failed_at: float
    last_failed_at: float
    resolved: bool
    resolution_note: str | None
    input_fingerprint: str | None
    code_version: str | None
    url: str | None
    run_id: str | None
    hour: str | None
    seq: int | None


def record(connection: Connection, letters: Sequence[NewDeadLetter], *, now: float) -> None:
    """Write dead letters; when a revision fails again at a stage, its dead letter is updated and reopened."""
    if not letters:
        return
    rows = [
        {
            **letter,
            **dict.fromkeys(("first_failed_at", "last_failed_at", "created_at"), now),
            **dict.fromkeys(("resolved", "announced"), False),
        }
        for letter in letters
    ]
    statement = insert_into(connection, worker_dlq)
    kept = {*_KEY, "source_key", "first_failed_at", "created_at"}
    changes = {name: statement.excluded[name] for name in rows[0].keys() - kept} | {"resolution_note": None}
    connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changes), rows)


def resolve_items(
    connection: Connection,
    tenant_id: str,
    source_keys: Sequence[str],
    note: str,
    *,
    stages: Sequence[Stage] = ITEM_STAGES,
) -> int:
    """Resolve the open dead letters of items at some stages; return how many there were."""
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


def erase_items(connection: Connection, tenant_id: str, source_keys: Sequence[str]) -> int:
    """Delete all dead letters of items; return how many there were."""
    mine = and_(worker_dlq.c.tenant_id == tenant_id, worker_dlq.c.source_key.in_(source_keys))
    return connection.execute(delete(worker_dlq).where(mine)).rowcount


def resolve_done(connection: Connection, owner: str, stage: Stage, note: str) -> None:
    """Resolve the open dead letters of a stage for the items of a claim, which it is about to finish."""
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


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Selects dead letters; a field that is left out selects all.

    Attributes:
        item: tenant and source key.
        since: epoch seconds; of the last failure.
        resolved: None for open and resolved ones.
        announced: whether people were notified of it; None for all.
    """

    ids: Sequence[int] = ()
    tenant_id: str | None = None
    stream: Stream | None = None
    stage: Stage | None = None
    error_class: str | None = None
    item: ItemKey | None = None
    since: float | None = None
    resolved: bool | None = False
    announced: bool | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions that a dead letter must meet."""
        letter = worker_dlq.c
        named = {
            letter.tenant_id: self.tenant_id or (self.item and self.item[0]),
            letter.source_key: self.item and self.item[1],
            letter.queue_name: self.stream,
            letter.job_name: self.stage,
            letter.error_class: self.error_class,
            letter.resolved: self.resolved,
            letter.announced: self.announced,
        }
        conditions = [column == value for column, value in named.items() if value is not None]
        if self.ids:
            conditions.append(letter.id.in_(self.ids))
        if self.since is not None:
            conditions.append(letter.last_failed_at >= self.since)
        return conditions


@dataclass(frozen=True, slots=True)
class ListedColumn:
    """A column of the lists of dead letters.

    Attributes:
        name: its key in rows, and in the JSON of ``chatai dead-letters list``.
        value: what is selected.
        heading: its heading in the terminal; "" if it is not shown there.
        ui_name: its name in the tables of the Dagster UI; "" if it is not shown there.
        ui_type: ``string``, ``int`` or ``float``.
        description: what the UI says about it.
    """

    name: str
    value: ColumnElement[Any]
    heading: str = ""
    ui_name: str = ""
    ui_type: str = "string"
    description: str = ""


def _listed_columns() -> tuple[ListedColumn, ...]:
    letter = worker_dlq.c
    data = letter.job_data
    return (
        ListedColumn(
            "id", letter.id, "id", "id", "int", "for `chatai dead-letters show` and the job replay_dead_letters"
        ),
        ListedColumn("stage", letter.job_name, "stage", "stage", description="the stage that gave up"),
        ListedColumn("stream", letter.queue_name),
        ListedColumn(
            "source", letter.source_key, "source", "source", description="source key; `chatai show` says all about it"
        ),
        ListedColumn("tenant_id", letter.tenant_id),
        ListedColumn("error_class", letter.error_class, "class", "error_class", description="the cause in one word"),
        ListedColumn(
            "error_message", letter.error_message, "what happened", "error", description="the cause in one sentence"
        ),
        ListedColumn("attempts", letter.attempts, "", "attempts", "int", "how often it was tried"),
        ListedColumn("first_failed_at", letter.first_failed_at),
        ListedColumn("last_failed_at", letter.last_failed_at, "last failed"),
        ListedColumn("resolved", letter.resolved),
        ListedColumn("resolution_note", letter.resolution_note),
        ListedColumn("input_fingerprint", letter.input_fingerprint),
        ListedColumn("code_version", letter.code_version),
        ListedColumn("url", letter.url),
        ListedColumn("run_id", data["run_id"].as_string(), "", "run", description="the run it was seen by last"),
        ListedColumn("hour", data["hour"].as_string()),
        ListedColumn("seq", data["seq"].as_integer()),
    )


LISTED_COLUMNS = _listed_columns()
"""The one list from which rows, JSON, the terminal's table and the UI's tables are made."""


def list_dead_letters(
    connection: Connection, choice: DeadLetterFilter = DeadLetterFilter(), *, limit: int = 1_000
) -> list[DeadLetterRow]:
    """Return dead letters with ``LISTED_COLUMNS``, the newest failure first."""
    columns = (column.value.label(column.name) for column in LISTED_COLUMNS)
    letter = worker_dlq.c
    newest_first = select(*columns).where(*choice.conditions).order_by(letter.last_failed_at.desc(), letter.id.desc())
    return fetch_all(connection, newest_first.limit(limit), DeadLetterRow)


def find_dead_letter(connection: Connection, letter_id: int) -> RowMapping | None:
    """Return all columns of one dead letter, or None."""
    return connection.execute(select(worker_dlq).where(worker_dlq.c.id == letter_id)).mappings().first()


def ids_of(connection: Connection, choice: DeadLetterFilter) -> list[int]:
    """Return the ids of dead letters, oldest first."""
    return list(
        connection.execute(select(worker_dlq.c.id).where(*choice.conditions).order_by(worker_dlq.c.id)).scalars()
    )


def resolve(connection: Connection, ids: Sequence[int], note: str) -> int:
    """Resolve dead letters that are open; return how many. Notes of resolved ones are not changed."""
    closed = update(worker_dlq).where(worker_dlq.c.id.in_(ids), worker_dlq.c.resolved.is_(False))
    return connection.execute(closed.values(resolved=True, resolution_note=note)).rowcount


def open_classes(connection: Connection, stream: Stream) -> dict[str, tuple[int, float]]:
    """Return error class -> number of open dead letters and time of the oldest, largest number first."""
    letter = worker_dlq.c
    count = func.count()
    rows = connection.execute(
        select(letter.error_class, count, func.min(letter.first_failed_at))
        .where(letter.queue_name == stream, letter.resolved.is_(False))
        .group_by(letter.error_class)
        .order_by(count.desc(), letter.error_class)
    )
    return {error_class: (number, oldest) for error_class, number, oldest in rows}


def open_stages(connection: Connection, stream: Stream) -> dict[str, int]:
    """Return stage -> number of open dead letters."""
    letter = worker_dlq.c
    rows = connection.execute(
        select(letter.job_name, func.count())
        .where(letter.queue_name == stream, letter.resolved.is_(False))
        .group_by(letter.job_name)
        .order_by(letter.job_name)
    )
    return {stage: count for stage, count in rows}  # noqa: C416 - rows are Row objects, not pairs, to the type checker


def list_not_notified(connection: Connection, limit: int) -> list[DeadLetterRow]:
    """Return open dead letters that people were not notified of, newest failure first."""
    return list_dead_letters(connection, DeadLetterFilter(announced=False), limit=limit)


def mark_notified(connection: Connection, shown: Sequence[DeadLetterRow]) -> None:
    """Record that people were notified of dead letters, except those whose items have failed again since."""
    letter = worker_dlq.c
    same = and_(letter.id == bindparam("letter_id"), letter.last_failed_at == bindparam("failed_at"))
    connection.execute(
        update(worker_dlq).where(same).values(announced=True),
        [{"letter_id": row["id"], "failed_at": row["last_failed_at"]} for row in shown],
    )


def open_failures(connection: Connection, stage: Stage, keys: Collection[ItemKey]) -> set[tuple[str, str, str]]:
    """Return tenant, source key and error class of the open dead letters of items at a stage."""
    letter = worker_dlq.c
    rows = connection.execute(
        select(letter.tenant_id, letter.source_key, letter.error_class).where(
            letter.resolved.is_(False), letter.job_name == stage, tuple_(letter.tenant_id, letter.source_key).in_(keys)
        )
    )
    return {(tenant_id, source_key, error_class) for tenant_id, source_key, error_class in rows}


def count_since(connection: Connection, stage: Stage, error_class: str, since: float) -> int:
    """Return the number of dead letters of an error class at a stage since an epoch second."""
    letter = worker_dlq.c
    counted = select(func.count()).where(
        letter.job_name == stage, letter.error_class == error_class, letter.last_failed_at >= since
    )
    return connection.execute(counted).scalar_one()


def count_open(connection: Connection, stream: Stream | None = None) -> int:
    """Return how many dead letters are open."""
    statement = select(func.count()).select_from(worker_dlq).where(worker_dlq.c.resolved.is_(False))
    if stream:
        statement = statement.where(worker_dlq.c.queue_name == stream)
    return connection.execute(statement).scalar_one()
