"""Taking turns at an embedded index, which only one process may have open.

Two file locks: a *door*, where writers queue, and the index itself. A searcher goes straight to the index and asks
for it more often than a writer does, so it waits for one turn of one writer, never for the queue.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from chatai_assets.domain.errors import StoreUnavailable

SEARCHER_POLL_S = 0.005
WRITER_POLL_S = 0.05


class Turns:
    """The two locks of one index; each turn opens its own handles, so threads take turns as processes do.

    Args:
        folder: an existing folder; two empty files are kept in it.
        timeout_s: how long to wait for a turn before the index counts as unavailable.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._index = str(folder / "index.lock")
        self._door = str(folder / "door.lock")
        self._timeout_s = timeout_s

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Hold the index for one search; ``StoreUnavailable`` when nobody lets go of it in time."""
        with self._held(self._index, SEARCHER_POLL_S):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the index for writing; ``StoreUnavailable`` when nobody lets go of it in time."""
        with self._held(self._door, WRITER_POLL_S):
            index = self._take(self._index, WRITER_POLL_S)
        try:
            yield
        finally:
            index.release()

    @contextmanager
    def _held(self, path: str, poll_s: float) -> Iterator[None]:
        lock = self._take(path, poll_s)
        try:
            yield
        finally:
            lock.release()

    def _take(self, path: str, poll_s: float) -> FileLock:
        lock = FileLock(path, timeout=self._timeout_s, thread_local=False)
        try:
            lock.acquire(poll_interval=poll_s)
        except Timeout:
            raise StoreUnavailable(f"the vector index is busy: no turn at it within {self._timeout_s:g} s") from None
        except OSError as error:
            raise StoreUnavailable(f"the lock of the vector index cannot be taken: {error.strerror}") from error
        return lock
