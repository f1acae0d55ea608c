"""Client of the watchdog: a second process that kills this one if it hangs; see ``watchdog.process``.

A signal handler or a thread in Python needs the interpreter's lock, which a loop in C may never release. And a killed
process can neither report why it was killed nor clean up its children.
"""

from __future__ import annotations

import atexit
import itertools
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from chatai_assets.domain.errors import Outage

STOP_S = 25.0
"""Seconds from SIGTERM or Ctrl-C until a process in a run is killed; a clean exit takes one or two."""
WATCHED_VARIABLE = "CHATAI_WATCHED"
"""Environment variable with the token of the watched process. Its children inherit it and are found by it later."""
_SCRIPT = Path(__file__).with_name("process.py")
_CRASH_REPORTER = (sys.executable, "-m", "chatai_assets.orchestration.watchdog.crash_reporter")


class Watchdog:
    """Connection to the process that watches this one; thread-safe.

    Args:
        stop_s: seconds from a stop signal until this process is killed.
    """

    def __init__(self, stop_s: float = STOP_S) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        signals, self._signals = os.pipe()
        os.set_blocking(self._signals, False)
        self._token = uuid4().hex
        self._process = _start_process(signals, self._token, stop_s)
        os.close(signals)

        self._stopping = False
        atexit.register(self.close)

    def close(self) -> None:
        """Report that this process exits, and wait until the watchdog has cleaned up after it."""
        if self._pid == os.getpid() and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_WAIT_S)
            if self._process.stdout:
                self._process.stdout.close()

    @property
    def alive(self) -> bool:
        """Whether the watchdog runs and watches this process, not the parent that this one was forked from."""
        return self._pid == os.getpid() and self._process.poll() is None

    @property
    def stop_requested(self) -> bool:
        """Whether this process received SIGTERM or Ctrl-C within ``forwarding_signals``, whatever handled it."""
        out = self._process.stdout
        self._stopping = self._stopping or bool(out and select.select([out], [], [], 0)[0] and os.read(out.fileno(), 9))
        return self._stopping

    @contextmanager
    def forwarding_signals(self) -> Iterator[None]:
        """Forward signals to the watchdog within the block; after a stop signal it kills this process in time."""
        with _forward_signals(self._signals):
            yield

    def _send(self, **message: object) -> None:
        line = f"{json.dumps(message)}\n".encode()
        with self._lock, suppress(BrokenPipeError):  # the watchdog was killed: the next run starts another one
            if self._process.stdin:
                self._process.stdin.write(line)
                self._process.stdin.flush()

    @contextmanager
    def watching(self, run_id: str, context: Sequence[str]) -> Iterator[None]:
        """Have the run failed with a reason if this process dies within the block; forward stop signals.

        Args:
            context: first input lines of ``crash_reporter``, as ``report_context`` makes them.
        """
        self._send(watch=run_id, context=list(context))
        os.environ[WATCHED_VARIABLE] = self._token
        with self.forwarding_signals():
            try:
                yield
            finally:
                os.environ.pop(WATCHED_VARIABLE, None)
                self._send(release=run_id)

    @contextmanager
    def kill_timer(self, in_s: float, run_id: str, why: str) -> Iterator[None]:
        """Have this process killed if the block takes longer; the run fails with the sentence ``why``."""
        number = next(self._numbers)
        self._send(arm=number, in_s=in_s, run=run_id, why=why)
        try:
            yield
        finally:
            self._send(disarm=number)

    def start_kill_timer(self, in_s: float, run_id: str, why: str) -> None:
        """Have this process killed unless it has exited by then."""
        self._send(arm=next(self._numbers), in_s=in_s, run=run_id, why=why)


def _start_process(signals: int, token: str, stop_s: float) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and script
            [sys.executable, "-B", "-I", str(_SCRIPT), str(signals), token, str(stop_s), *_CRASH_REPORTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(signals,),
            start_new_session=True,
        )
    except OSError as error:
        raise Outage(f"The watchdog cannot be started ({type(error).__name__}).") from error


@contextmanager
def _forward_signals(line: int) -> Iterator[None]:
    """Write the numbers of signals to a pipe. CPython does so in C, before any Python handler runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.set_wakeup_fd(line, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)


CLOSE_WAIT_S = 5.0
EXIT_WAIT_S = 10.0
"""Seconds a run worker has to exit after a stage was stopped: a hanging thread would keep it alive."""
_watchdogs: list[Watchdog] = []


def watchdog() -> Watchdog:
    """Return the watchdog of this process; it starts with the first run and ends with the process."""
    if not _watchdogs or not _watchdogs[-1].alive:
        _watchdogs.append(Watchdog())
    return _watchdogs[-1]


def ensure_exit(run_id: str) -> None:
    """Have this process killed soon unless it exits, if it is a worker of a single run."""
    if multiprocessing.parent_process() is not None or "execute_run" in sys.argv:
        watchdog().start_kill_timer(EXIT_WAIT_S, run_id, "Its process did not end after it was stopped, and was ended.")
