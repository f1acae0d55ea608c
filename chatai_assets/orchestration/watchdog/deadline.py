"""Deadlines for operations, wherever they hang.

Dagster has none. An exception stops code that returns to Python now and then; if that does not help, the watchdog,
another process, kills this one.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from chatai_assets.orchestration.watchdog.client import Watchdog

REARM_S = 1.0


class DeadlineExceeded(BaseException):
    """An operation exceeded its deadline.

    Like ``KeyboardInterrupt`` it is not an ``Exception``, so that the interrupted code does not treat it as an error
    of the item that it is processing.
    """

    code = "DeadlinePassed"


@contextmanager
def deadline(seconds: float, name: str, run_id: str, watchdog: Watchdog, *, grace_s: float) -> Iterator[None]:
    """Stop the block after some seconds, and kill the process if the block cannot be stopped.

    Args:
        name: of the operation, for messages, e.g. ``the stage 'tag'``.
        grace_s: seconds of cleanup after the deadline before the process is killed.

    Raises:
        DeadlineExceeded: the block took longer; raised again each second in case it is swallowed.
    """
    message = f"It is over the deadline of {name}, {seconds:g} s, and was stopped."
    with watchdog.kill_timer(seconds + grace_s, run_id, f"It is over the deadline of {name}, {seconds:g} s. {KILLED}"):
        in_main = threading.current_thread() is threading.main_thread()
        try:
            with _raise_in_main_thread(seconds) if in_main else _raise_in_this_thread(seconds):
                yield
        except DeadlineExceeded:
            raise DeadlineExceeded(message) from None


KILLED = "Nothing could stop it, so the watchdog ended its process."


@contextmanager
def _raise_in_main_thread(seconds: float) -> Iterator[None]:
    """Raise in the main thread after some seconds, also out of a blocking call."""

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise DeadlineExceeded

    started = time.monotonic()
    handler_before = signal.signal(signal.SIGALRM, expire)
    timer_before = signal.setitimer(signal.ITIMER_REAL, seconds, REARM_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler_before)
        _restore_timer(timer_before, time.monotonic() - started)


def _restore_timer(timer: tuple[float, float], elapsed_s: float) -> None:
    """Restore the timer that was set before, with the time it has left."""
    left_s, interval_s = timer
    if left_s:
        signal.setitimer(signal.ITIMER_REAL, max(left_s - elapsed_s, 0.001), interval_s)


@contextmanager
def _raise_in_this_thread(seconds: float) -> Iterator[None]:
    """Raise in the calling thread, where no signal arrives, once it runs Python; a blocking call is not interrupted."""
    thread, over, raising = threading.get_ident(), threading.Event(), threading.Lock()

    def expire() -> None:
        wait_s = seconds
        while not over.wait(wait_s):
            wait_s = REARM_S
            with raising:
                if not over.is_set():
                    _set_async_exception(thread, DeadlineExceeded)

    threading.Thread(target=expire, name="deadline", daemon=True).start()
    try:
        yield
    finally:
        with raising:
            over.set()
            _set_async_exception(thread, None)


def _set_async_exception(thread: int, error: type[BaseException] | None) -> None:
    """Raise an exception in a thread; None cancels one that is still pending there."""
    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)
