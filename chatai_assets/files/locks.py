"""Kernel file locks, shared by all processes of one machine: of the embedded stores and of the record store's file.

The locks are ``flock`` locks: the kernel releases them when their holder dies. Each acquisition opens its own file
handles, so threads exclude each other as processes do. Nothing here knows which store is being locked.

The library ``filelock`` has no shared locks that the kernel releases, which searches need, so it is not used.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.os_errors import describe_errno

POLL_S = 0.005
"""Between attempts, except those of a writer of the vector index."""
WRITER_POLL_S = 0.05
"""Longer than ``POLL_S``, so that searches get the lock before a writer does."""
EXCLUSIVE_POLL_S = 0.05
"""Between attempts for a lock that is held for long: a migration, or a batch of writes."""
WRITER_MAX_WAIT_S = 2.0
"""How long a writer lets searches go first."""

CheckLock = Callable[[], None]
"""Raises ``StoreUnavailable`` when the lock was lost; call it right before something is written."""
WriterLock = Callable[[], AbstractContextManager[CheckLock]]
"""Waits for the writer lock of a store outside this machine and holds it until the block ends; ``StoreUnavailable``
when it is not free in time. It comes from the record store (``storage.writer_lock``), which all writers share."""


@contextmanager
def exclusive_lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a file until the block ends.

    Args:
        path: an empty file that is created if needed; its folder exists.
        timeout_s: how long to wait for other holders.

    Raises:
        TimeoutError: another process or thread held the lock for too long.
        OSError: the file cannot be opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not try_acquire(handle, fcntl.LOCK_EX, time.monotonic() + timeout_s, EXCLUSIVE_POLL_S):
            raise TimeoutError(f"{path.name} is locked for longer than {timeout_s:g} s")
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)  # a forked process may still have the handle
    finally:
        os.close(handle)


def try_acquire(handle: int, mode: int, deadline: float, poll_s: float = POLL_S) -> bool:
    """Try to lock an open file until the deadline, at least once; return whether the lock was acquired.

    Args:
        mode: ``fcntl.LOCK_EX`` or ``fcntl.LOCK_SH``.
        deadline: in monotonic seconds.
    """
    while True:
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(poll_s)
        else:
            return True


class _LockFiles:
    """The lock files of one store.

    Args:
        folder: where the empty lock files are kept.
        timeout_s: how long to wait before the store counts as unavailable.
        store: what error messages call the store.
    """

    def __init__(self, folder: Path, timeout_s: float, store: str) -> None:
        self._folder = folder
        self._timeout_s = timeout_s
        self._store = store

    def deadline(self) -> float:
        """Return when an acquisition that starts now gives up, in monotonic seconds."""
        return time.monotonic() + self._timeout_s

    @contextmanager
    def open(self, name: str) -> Iterator[int]:
        """Open a lock file; closing it releases its lock."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnavailable(
                f"the lock of the {self._store} cannot be taken: {describe_errno(error.errno)}"
            ) from error
        try:
            yield handle
        finally:
            os.close(handle)

    def acquire(self, handle: int, mode: int, deadline: float, poll_s: float = POLL_S) -> None:
        """Acquire a lock, or raise ``StoreUnavailable`` at the deadline."""
        if not try_acquire(handle, mode, deadline, poll_s):
            raise StoreUnavailable(f"the {self._store} is busy: no turn at it within {self._timeout_s:g} s")


class IndexLock:
    """The lock of one embedded vector index: one writer, or any number of searches.

    Three files. Writers queue at the *door*. Searches pass the *gate* and share the *index*; they poll more often than
    a writer does, so they wait for one writer at most, never for the queue of writers. A writer that searches keep out
    for ``WRITER_MAX_WAIT_S`` shuts the gate.

    Args:
        folder: where the three empty lock files are kept.
        timeout_s: how long to wait before the index counts as unavailable.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._files = _LockFiles(folder, timeout_s, "vector index")

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Hold the index together with other searches; ``StoreUnavailable`` when a writer keeps it too long."""
        files, deadline = self._files, self._files.deadline()
        with files.open("gate.lock") as gate, files.open("index.lock") as index:
            files.acquire(gate, fcntl.LOCK_SH, deadline)
            files.acquire(index, fcntl.LOCK_SH, deadline)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the index alone; ``StoreUnavailable`` when others keep it too long."""
        files, deadline = self._files, self._files.deadline()
        with files.open("index.lock") as index:
            with files.open("door.lock") as door, files.open("gate.lock") as gate:
                files.acquire(door, fcntl.LOCK_EX, deadline, WRITER_POLL_S)
                polite_until = min(time.monotonic() + WRITER_MAX_WAIT_S, deadline)
                if not try_acquire(index, fcntl.LOCK_EX, polite_until, WRITER_POLL_S):
                    files.acquire(gate, fcntl.LOCK_EX, deadline)
                    files.acquire(index, fcntl.LOCK_EX, deadline)
            yield


class GraphLock:
    """The lock of one embedded graph: one writer, or any number of readers.

    Two files. Readers and writers take the *door* first and release it once they have the graph, so that neither a
    steady stream of readers keeps a writer out, nor a queue of writers keeps a reader out.

    Args:
        folder: where the two empty lock files are kept.
        timeout_s: how long to wait before the graph counts as unavailable.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._files = _LockFiles(folder, timeout_s, "graph")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the graph alone; ``StoreUnavailable`` when others keep it too long."""
        with self._hold(fcntl.LOCK_EX):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the graph together with other readers; ``StoreUnavailable`` when a writer keeps it too long."""
        with self._hold(fcntl.LOCK_SH):
            yield

    @contextmanager
    def _hold(self, mode: int) -> Iterator[None]:
        files, deadline = self._files, self._files.deadline()
        with files.open("door.lock") as door, files.open("graph.lock") as graph:
            files.acquire(door, mode, deadline)
            files.acquire(graph, mode, deadline)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield
