"""Opens and queries a ladybug file, and translates its errors."""

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

BUFFER_BYTES, MAX_BUFFER_BYTES = 128 << 20, 4 << 30
"""Sizes of the buffer pool: enough to read a graph of any size, and the maximum for writing a large one."""
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
"""Fragments of ladybug's messages about an unreadable log or file; messages about locks and disks lack them."""
OF_DISK, OF_LOCK = "IO exception", "Could not set lock"
"""Start of messages about files, and a fragment of those about a lock held by another process.

Only messages about writing contain the system's error, not those about reading and syncing.
"""

OF_MEMORY = "Buffer manager exception"
TOO_LARGE = "it needs more memory than an embedded graph may take; set NEO4J_URI to use a server"
COMMITTED = "The committed data is durable and will be recovered on restart: "
"""Precedes the reason when a transaction was committed and the checkpoint after it failed."""


@contextmanager
def open_database(file: Path, *, read_only: bool = False, cut_log: bool = False) -> Iterator[ladybug.Connection]:
    """Yield a connection to a file; committed transactions are durable.

    Args:
        cut_log: whether to use a truncated log up to its last complete transaction.

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
            if not read_only:  # a writer is alone; a reader would take the file from other readers of this process, too
                _abandon_files(connection, file)
            raise
        finally:
            connection.close()
    finally:
        with translate_errors("closed"):
            database.close()


def _write_buffer_bytes(file: Path) -> int:
    """Return the buffer size for writing: a checkpoint may hold all pages of the file, old and new."""
    size = file.stat().st_size if file.exists() else 0
    return min(max(BUFFER_BYTES, 2 * size), MAX_BUFFER_BYTES)


@contextmanager
def translate_errors(done: str) -> Iterator[None]:
    """Raise ladybug's errors as ``StoreUnavailable``.

    The message has only their class or the system's error, because the rest may quote a row.
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
    """Return what the system or ladybug refused and what to do; None for other messages."""
    if message.startswith(OF_MEMORY):
        return TOO_LARGE
    if not message.startswith(OF_DISK) or OF_LOCK in message:
        return None
    return describe_errno(errno_in(message) or errno.EIO)


def _abandon_files(connection: ladybug.Connection, file: Path) -> None:
    """Leave the files as a kill would: redirect all further writes to memory.

    ladybug writes a failed log again when the database is closed, and ends the process if that fails too. The next use
    of the file replays or drops the log.
    """
    with suppress(RuntimeError):
        query(connection, "CALL force_checkpoint_on_close=false")
    for number in _open_descriptors(file):
        in_memory = os.memfd_create(file.name)
        os.dup2(in_memory, number, inheritable=False)
        os.close(in_memory)


def _open_descriptors(file: Path) -> Iterator[int]:
    """Yield this process's descriptors of a file and of ladybug's other files; none on systems without /proc."""
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
