"""A second process that ends this one where it hangs, whatever holds it up; see ``watchdog_process``.

A signal handler or a thread in Python would need the interpreter's lock, which a loop in C never lets go of; and a
process that is ended in that way can neither say why nor end the children it leaves behind.
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
"""Seconds from SIGTERM or Ctrl-C until a process in a run is ended; it needs one or two for itself."""
WATCHED_VARIABLE = "CHATAI_WATCHED"
"""Variable that names the watched process to its children, by which they are found when it is gone."""
_SCRIPT = Path(__file__).with_name("process.py")
_CRASH_REPORTER = (sys.executable, "-m", "chatai_assets.orchestration.watchdog.crash_reporter")


class Watchdog:
    """The line to the process that watches this one; safe to share between threads.

    Args:
        stop_s: seconds from a signal to stop until this process is ended.
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
        """Say that this process ends, and wait until what it has left behind is gone."""
        if self._pid == os.getpid() and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_WAIT_S)
            if self._process.stdout:
                self._process.stdout.close()

    @property
    def alive(self) -> bool:
        """Whether it still watches, and watches this process, not the one that this one was forked from."""
        return self._pid == os.getpid() and self._process.poll() is None

    @property
    def stop_requested(self) -> bool:
        """Whether this process received SIGTERM or Ctrl-C while ``hearing``, whoever handled it."""
        out = self._process.stdout
        self._stopping = self._stopping or bool(out and select.select([out], [], [], 0)[0] and os.read(out.fileno(), 9))
        return self._stopping

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Notice signals within the block, and be ended if that does not happen soon after one to stop."""
        with _forward_signals(self._signals):
            yield

    def _tell(self, **message: object) -> None:
        line = f"{json.dumps(message)}\n".encode()
        with self._lock, suppress(BrokenPipeError):  # it was killed: then nobody watches until the next run
            if self._process.stdin:
                self._process.stdin.write(line)
                self._process.stdin.flush()

    @contextmanager
    def watching(self, run_id: str, words: Sequence[str]) -> Iterator[None]:
        """Be spoken for if this process ends within the block, and told to stop at most so long before it does.

        Args:
            words: first lines for ``last_words``.
        """
        self._tell(attend=run_id, words=list(words))
        os.environ[WATCHED_VARIABLE] = self._token
        with self.hearing():
            try:
                yield
            finally:
                os.environ.pop(WATCHED_VARIABLE, None)
                self._tell(leave=run_id)

    @contextmanager
    def armed(self, in_s: float, run_id: str, why: str) -> Iterator[None]:
        """Be ended if the block takes longer, with a sentence that says why."""
        number = next(self._numbers)
        self._tell(arm=number, in_s=in_s, run=run_id, why=why)
        try:
            yield
        finally:
            self._tell(disarm=number)

    def start_kill_timer(self, in_s: float, run_id: str, why: str) -> None:
        """Be ended unless this process has ended by itself until then."""
        self._tell(arm=next(self._numbers), in_s=in_s, run=run_id, why=why)


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
    """Have the numbers of signals written to a pipe, in C, before any handler in Python gets its turn."""
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
"""Seconds a run worker has to end after a stage was stopped: a thread that still hangs would keep it."""
_watchdogs: list[Watchdog] = []


def watchdog() -> Watchdog:
    """Return the one that watches this process; it starts with the first run and ends with the process."""
    if not _watchdogs or not _watchdogs[-1].alive:
        _watchdogs.append(Watchdog())
    return _watchdogs[-1]


def ensure_exit(run_id: str) -> None:
    """Be ended soon unless this process ends by itself, if it is one that lives for one run only."""
    if multiprocessing.parent_process() is not None or "execute_run" in sys.argv:
        watchdog().start_kill_timer(EXIT_WAIT_S, run_id, "Its process did not end after it was stopped, and was ended.")
