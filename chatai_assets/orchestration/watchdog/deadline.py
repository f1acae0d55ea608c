"""A limit on how long an operation may take, whatever it hangs in.

Dagster has no such limit. An exception stops what runs Python now and then; the watchdog, another
process, ends this one where even that does not help.
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
    """An operation took too long.

    Like ``KeyboardInterrupt`` it is no ``Exception``, so that the code it happens to interrupt does not take it for an
    error of the item in hand.
    """

    code = "DeadlinePassed"


@contextmanager
def deadline(seconds: float, name: str, run_id: str, watchdog: Watchdog, *, grace_s: float) -> Iterator[None]:
    """Stop the block after some seconds, and end the process where it cannot be stopped.

    Args:
        name: of what is limited, e.g. ``the stage 'tag'``.
        grace_s: seconds that cleaning up may take after the deadline before the process is ended.

    Raises:
        DeadlineExceeded: the block took longer; raised again each second in case it is swallowed.
    """
    said = f"It is over the deadline of {name}, {seconds:g} s, and was stopped."
    with watchdog.armed(seconds + grace_s, run_id, f"It is over the deadline of {name}, {seconds:g} s. {KILLED}"):
        in_main = threading.current_thread() is threading.main_thread()
        try:
            with _raise_in_main_thread(seconds) if in_main else _raise_in_this_thread(seconds):
                yield
        except DeadlineExceeded:
            raise DeadlineExceeded(said) from None


KILLED = "Nothing could stop it, so the watchdog ended its process."


@contextmanager
def _raise_in_main_thread(seconds: float) -> Iterator[None]:
    """Raise in the main thread, also out of a call that waits."""

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
    """Give the timer of whoever had it before the time that is left to it."""
    left_s, interval_s = timer
    if left_s:
        signal.setitimer(signal.ITIMER_REAL, max(left_s - elapsed_s, 0.001), interval_s)


@contextmanager
def _raise_in_this_thread(seconds: float) -> Iterator[None]:
    """Raise in the calling thread, where no signal arrives, as soon as it runs Python; a call that waits goes on."""
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
    """Raise in a thread; None takes back what it has not noticed yet."""
    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)
