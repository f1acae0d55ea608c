"""Taking turns at an embedded graph: one writer or several readers, in any number of processes.

Two file locks. Whoever wants the graph takes the *door* first and lets go of it once inside, so that a writer is not
kept waiting by readers who come and go, nor a reader by a queue of writers. The locks are the kernel's: a killed
process holds none.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.os_errors import refusal

POLL_S = 0.005


class Turns:
    """The two locks of one graph; each turn opens its own handles, so threads take turns as processes do.

    Args:
        folder: where the two empty lock files are kept; made when it is missing.
        timeout_s: how long to wait for a turn before the graph counts as unavailable.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the graph alone; ``StoreUnavailable`` when others do not let go of it in time."""
        with self._turn(fcntl.LOCK_EX):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the graph together with other readers; ``StoreUnavailable`` when a writer does not let go in time."""
        with self._turn(fcntl.LOCK_SH):
            yield

    @contextmanager
    def _turn(self, mode: int) -> Iterator[None]:
        deadline = time.monotonic() + self._timeout_s
        with self._opened("door.lock") as door, self._opened("graph.lock") as graph:
            self._take(door, mode, deadline)
            self._take(graph, mode, deadline)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnavailable(f"the lock of the graph cannot be taken: {refusal(error.errno)}") from error
        try:
            yield handle
        finally:
            os.close(handle)

    def _take(self, handle: int, mode: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(handle, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    message = f"the graph is busy: no turn at it within {self._timeout_s:g} s"
                    raise StoreUnavailable(message) from None
                time.sleep(POLL_S)
            else:
                return
