"""Taking turns at an embedded index: one writer, or any number of searches side by side, in any number of processes.

Three file locks. Writers queue at the *door*. Searches pass the *gate* and share the *index* with each other; they ask
for it more often than a writer does, so they wait for the turn of one writer, never for the queue. A writer that is
kept out by one search after another shuts the gate. The locks are the kernel's: a killed process holds none.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatai_assets.domain.errors import StoreUnavailable

SEARCHER_POLL_S = 0.005
WRITER_POLL_S = 0.05
WRITER_PATIENCE_S = 2.0
"""How long a writer lets searches go first."""


class Turns:
    """The locks of one index; each turn opens its own handles, so threads take turns as processes do.

    Args:
        folder: an existing folder; three empty files are kept in it.
        timeout_s: how long to wait for a turn before the index counts as unavailable.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Hold the index beside other searches; ``StoreUnavailable`` when a writer does not let go of it in time."""
        deadline = time.monotonic() + self._timeout_s
        with self._opened("gate.lock") as gate, self._opened("index.lock") as index:
            self._take(gate, fcntl.LOCK_SH, SEARCHER_POLL_S, deadline)
            self._take(index, fcntl.LOCK_SH, SEARCHER_POLL_S, deadline)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the index alone; ``StoreUnavailable`` when others do not let go of it in time."""
        deadline = time.monotonic() + self._timeout_s
        with self._opened("index.lock") as index:
            with self._opened("door.lock") as door, self._opened("gate.lock") as gate:
                self._take(door, fcntl.LOCK_EX, WRITER_POLL_S, deadline)
                patience = min(time.monotonic() + WRITER_PATIENCE_S, deadline)
                if not self._taken(index, fcntl.LOCK_EX, WRITER_POLL_S, patience):
                    self._take(gate, fcntl.LOCK_EX, SEARCHER_POLL_S, deadline)
                    self._take(index, fcntl.LOCK_EX, SEARCHER_POLL_S, deadline)
            yield

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        try:
            handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnavailable(f"the lock of the vector index cannot be taken: {error.strerror}") from error
        try:
            yield handle
        finally:
            os.close(handle)

    def _take(self, handle: int, mode: int, poll_s: float, deadline: float) -> None:
        if not self._taken(handle, mode, poll_s, deadline):
            raise StoreUnavailable(f"the vector index is busy: no turn at it within {self._timeout_s:g} s")

    def _taken(self, handle: int, mode: int, poll_s: float, deadline: float) -> bool:
        """Ask for a lock until the deadline, at least once; return whether it was given."""
        while True:
            try:
                fcntl.flock(handle, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(poll_s)
            else:
                return True
