"""A limit on how long an operation may take, whatever it hangs in.

Dagster has no such limit. A signal stops what runs Python now and then; a watchdog thread in C,
which needs no GIL, ends the process where even that does not help.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_S = 30.0
"""Seconds that cleaning up may take after the deadline before the process is ended."""
REARM_S = 1.0


class DeadlinePassed(BaseException):
    """An operation took too long; like ``KeyboardInterrupt`` no error of the code that happens to run at that moment.

    It must not be caught as one: an item in the middle of which the deadline falls has done nothing wrong.
    """


@contextmanager
def deadline(seconds: float, *, grace_s: float = GRACE_S) -> Iterator[None]:
    """Stop the block after some seconds.

    Works in the main thread, where runs are executed; elsewhere no signal can be received, and the
    block is not limited.

    Raises:
        DeadlinePassed: the block took longer; raised again each second in case it is swallowed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise DeadlinePassed(f"It was stopped after {seconds:g} s, which is as long as it may take.")

    started = time.monotonic()
    handler_before = signal.signal(signal.SIGALRM, expire)
    timer_before = signal.setitimer(signal.ITIMER_REAL, seconds, REARM_S)
    faulthandler.dump_traceback_later(seconds + grace_s, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler_before)
        faulthandler.cancel_dump_traceback_later()
        _resume(timer_before, time.monotonic() - started)


def _resume(timer: tuple[float, float], elapsed_s: float) -> None:
    """Give the timer of whoever had it before the time that is left to it."""
    left_s, interval_s = timer
    if left_s:
        signal.setitimer(signal.ITIMER_REAL, max(left_s - elapsed_s, 0.001), interval_s)
