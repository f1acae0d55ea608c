"""Periodic call from a background thread while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatai_assets.domain.errors import StoreUnavailable


@contextmanager
def heartbeat(beat: Callable[[], None], every_s: float, name: str) -> Iterator[None]:
    """Call ``beat`` every ``every_s`` seconds from a thread of its own until the block ends.

    A beat that cannot reach the record store is skipped: the next one may still be in time.
    """
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(every_s):
            try:
                beat()
            except StoreUnavailable:
                continue

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
