"""One use of a ladybug file: open, ask, close; its errors become ours here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import ladybug

from chatai_assets.domain.errors import StoreDamaged, StoreUnavailable

BUFFER_BYTES = 128 << 20
THREADS = 2
DAMAGE = (
    "orrupted",
    "Reading past the end of the file",
    "not a valid Lbug database",
    "Cannot recover",
    "Cannot replay",
    "Cannot read checkpoint",
    "Assertion failed",
)
"""What ladybug's messages about a log or file that cannot be read have in them; those about locks and disks do not."""


@contextmanager
def opened(file: Path, *, read_only: bool = False, cut_log: bool = False) -> Iterator[ladybug.Connection]:
    """Give a connection to a file; what was committed is durable.

    Args:
        cut_log: whether a log that cannot be read to its end counts up to its last whole transaction.

    Raises:
        StoreDamaged: its log or file cannot be read.
        StoreUnavailable: it cannot be opened or closed.
    """
    with failing_as_outage("opened"):
        database = ladybug.Database(
            file,
            buffer_pool_size=BUFFER_BYTES,
            max_num_threads=THREADS,
            read_only=read_only,
            throw_on_wal_replay_failure=not cut_log,
            backend="pybind",
        )
    try:
        with failing_as_outage("opened"):
            connection = ladybug.Connection(database)
        try:
            yield connection
        finally:
            connection.close()
    finally:
        with failing_as_outage("closed"):
            database.close()


@contextmanager
def failing_as_outage(done: str) -> Iterator[None]:
    """Turn ladybug's errors into ``StoreUnavailable``; only their class is told, for the rest may quote a row."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        kind = str(error).partition(":")[0][:80]
        if any(words in str(error) for words in DAMAGE):
            raise StoreDamaged(f"the graph cannot be {done}, its log or file is damaged: {kind}") from None
        raise StoreUnavailable(f"the graph cannot be {done}: {kind}") from None


def rows(connection: ladybug.Connection, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """Run one statement and return its rows, each a list of values; RuntimeError as ladybug raises it."""
    with closing(_answer(connection, statement, parameters)) as answer:
        return answer.get_all()


def each_row(connection: ladybug.Connection, statement: str) -> Iterator[Any]:
    """Run one statement and yield its rows, each a list of values; ``StoreUnavailable`` when it fails."""
    with failing_as_outage("read"), closing(_answer(connection, statement)) as answer:
        while answer.has_next():
            yield answer.get_next()


def _answer(
    connection: ladybug.Connection, statement: str, parameters: Mapping[str, Any] | None = None
) -> ladybug.QueryResult:
    answer = connection.execute(statement, dict(parameters or {}))
    if isinstance(answer, list):
        raise TypeError("one statement at a time")
    return answer
