"""One use of a ladybug file: open, ask, close; its errors become ours here."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import ladybug

from chatai_assets.domain.errors import StoreDamaged, StoreUnavailable
from chatai_assets.files.os_errors import describe_errno, errno_in

BUFFER_BYTES, MOST_BUFFER_BYTES = 128 << 20, 4 << 30
"""Of memory for pages: what reading a graph of any size needs, and the most that writing a large one may take."""
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
OF_DISK, OF_LOCK = "IO exception", "Could not set lock"
"""How messages about files begin, and what those have in them that are about others who hold one.

What the system said is told of writing, not of reading and syncing.
"""

OF_MEMORY = "Buffer manager exception"
TOO_LARGE = "it needs more memory than an embedded graph may take; set NEO4J_URI to use a server"
COMMITTED = "The committed data is durable and will be recovered on restart: "
"""What stands before the reason where a transaction was committed and the checkpoint after it failed."""


@contextmanager
def open_database(file: Path, *, read_only: bool = False, cut_log: bool = False) -> Iterator[ladybug.Connection]:
    """Give a connection to a file; what was committed is durable.

    Args:
        cut_log: whether a log that cannot be read to its end counts up to its last whole transaction.

    Raises:
        StoreDamaged: its log or file cannot be read.
        StoreUnavailable: it cannot be opened or closed.
    """
    with translate_errors("opened"):
        database = ladybug.Database(
            file,
            buffer_pool_size=BUFFER_BYTES if read_only else _write_buffer_bytes(file),
            max_num_threads=THREADS,
            read_only=read_only,
            throw_on_wal_replay_failure=not cut_log,
            backend="pybind",
        )
    try:
        with translate_errors("opened"):
            connection = ladybug.Connection(database)
        try:
            yield connection
        except StoreUnavailable:
            if not read_only:  # who writes is alone; who reads would take the file from its neighbours, too
                _abandon_files(connection, file)
            raise
        finally:
            connection.close()
    finally:
        with translate_errors("closed"):
            database.close()


def _write_buffer_bytes(file: Path) -> int:
    """Return how much memory pages may take while a file is written: a checkpoint may hold all of it, old and new."""
    size = file.stat().st_size if file.exists() else 0
    return min(max(BUFFER_BYTES, 2 * size), MOST_BUFFER_BYTES)


@contextmanager
def translate_errors(done: str) -> Iterator[None]:
    """Turn ladybug's errors into ``StoreUnavailable``.

    Only their class is told, or what the system said, for the rest may quote a row.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        reason = str(error).rpartition(COMMITTED)[2]
        kind = reason.partition(":")[0][:80]
        if any(words in reason for words in DAMAGE):
            raise StoreDamaged(f"the graph cannot be {done}, its log or file is damaged: {kind}") from None
        raise StoreUnavailable(f"the graph cannot be {done}: {_refusal_reason(reason) or kind}") from None


def _refusal_reason(message: str) -> str | None:
    """Return what the system or ladybug refused and what to do, if that is what a message of ladybug is about."""
    if message.startswith(OF_MEMORY):
        return TOO_LARGE
    if not message.startswith(OF_DISK) or OF_LOCK in message:
        return None
    return describe_errno(errno_in(message) or errno.EIO)


def _abandon_files(connection: ladybug.Connection, file: Path) -> None:
    """Leave the files as they are, as a kill would: what is written to them from now on goes nowhere.

    A log that could not be written is written again when the database is closed, and where that fails, too, ladybug
    ends the process. The next use finishes or drops what the log says.
    """
    with suppress(RuntimeError):
        query(connection, "CALL force_checkpoint_on_close=false")
    for number in _open_descriptors(file):
        nowhere = os.memfd_create(file.name)
        os.dup2(nowhere, number, inheritable=False)
        os.close(nowhere)


def _open_descriptors(file: Path) -> Iterator[int]:
    """Yield the numbers under which this process has a file, or those beside it, open; none where nobody tells."""
    beginning = str(file.resolve())
    for number in [*Path("/proc/self/fd").glob("*")]:
        with suppress(OSError):  # the folder itself was open while it was listed
            if os.readlink(number).startswith(beginning):  # noqa: PTH115 - of a pipe this is no path
                yield int(number.name)


def query(connection: ladybug.Connection, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """Run one statement and return its rows, each a list of values; RuntimeError as ladybug raises it."""
    with closing(_execute(connection, statement, parameters)) as answer:
        return answer.get_all()


def iter_rows(
    connection: ladybug.Connection, statement: str, parameters: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """Run one statement and yield its rows, each a list of values; ``StoreUnavailable`` when it fails."""
    with translate_errors("read"), closing(_execute(connection, statement, parameters)) as answer:
        while answer.has_next():
            yield answer.get_next()


def _execute(
    connection: ladybug.Connection, statement: str, parameters: Mapping[str, Any] | None = None
) -> ladybug.QueryResult:
    answer = connection.execute(statement, dict(parameters or {}))
    if isinstance(answer, list):
        raise TypeError("one statement at a time")
    return answer
