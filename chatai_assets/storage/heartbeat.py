"""Saying something again and again while a block runs, as long as the record store can be reached."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatai_assets.domain.errors import StoreUnavailable


@contextmanager
def heartbeat(beat: Callable[[], None], every_s: float, name: str) -> Iterator[None]:
    """Beat from a thread of its own until the block ends, first after ``every_s`` seconds.

    A beat that cannot reach the record store is left out: the next may still be in time.
    """
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(every_s):
            try:
                beat()
            except StoreUnavailable:
                continue

    thread = threading.Thread(target=go_on, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
