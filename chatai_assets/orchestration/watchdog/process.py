"""The watchdog process: kills a process that hangs during a run, and cleans up after it.

``watchdog.client`` starts it by path, with an isolated interpreter: it imports nothing from the program, does not need
the interpreter lock of the watched process, and runs in a session of its own, so that Ctrl-C and a kill of the process
group do not reach it.

Standard input carries one JSON object a line: ``{"watch": RUN, "context": [..]}`` (if the process dies in this run,
these lines are the first input of ``crash_reporter``), ``{"release": RUN}``,
``{"arm": N, "run": RUN, "in_s": S, "why": ".."}`` and ``{"disarm": N}``. It ends when the watched process ends. The
pipe named in the arguments carries the numbers of signals, written by the interpreter's handler in C. After a stop
signal the watchdog writes ``stop`` to standard output, and kills the process if it has not exited within the timeout.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

PARENT_CHECK_S = 1.0
"""Interval of checking whether the watched process is still our parent."""
REPORTER_START_S = 2.0
"""How long before a kill the crash reporter is started: Dagster takes about two seconds to load."""
REPORT_WAIT_S = 2.0
"""How long the crash reporter may take while the process still lives; after that the process is killed in any case."""
REPORTER_TIMEOUT_S = 60.0
KILL_WAIT_S = 10.0
"""How long to wait for a killed process to disappear on a busy machine."""
ORPHAN_GRACE_S = 2.5
"""Children that exit by themselves when their parent is gone check for it once a second."""
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
STOP_DEADLINE = 0
"""The key in ``WatchedProcess.deadlines`` of the deadline after a stop signal."""
LAUNCHER_PROGRAMS = {"dagster", "dagster-daemon", "dagster._daemon"}
"""Programs that start runs, as they appear in command lines."""


class Reporter:
    """A running ``crash_reporter``: it reports what happened to a run whose process cannot do so."""

    def __init__(self, command: list[str], context: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._write(*context)

    def _write(self, *lines: str) -> None:
        with suppress(OSError, ValueError):
            if self._process.stdin:
                self._process.stdin.write("".join(f"{line}\n" for line in lines))
                self._process.stdin.flush()

    def report(self, reason: str, within_s: float) -> None:
        """Have the run failed with a reason, and wait up to ``within_s`` seconds until that is done."""
        self._write(reason)
        if self._process.stdout:
            select.select([self._process.stdout], [], [], within_s)

    def finish(self) -> None:
        """Let it release the claims of the process, now that the process is gone."""
        self._write("gone")
        try:
            self._process.communicate(timeout=REPORTER_TIMEOUT_S)
        except (subprocess.TimeoutExpired, ValueError, OSError):
            self._process.kill()
            self._process.wait()

    def cancel(self) -> None:
        """Kill it: there is nothing to report."""
        self._process.kill()
        self._process.communicate()


class WatchedProcess:
    """State of the watched process.

    Attributes:
        runs: run -> first input lines for its crash reporter.
        deadlines: number of a timer, or ``STOP_DEADLINE`` -> when to kill the process, the run and the reason.
        reporter: the run of the next deadline and its crash reporter, once that is started.
    """

    def __init__(self, token: str, stop_s: float, command: list[str]) -> None:
        self.parent = os.getppid()
        self.token = token
        self.stop_s = stop_s
        self.command = command
        self.launchers = find_launchers(self.parent)
        self.runs: dict[str, list[str]] = {}
        self.deadlines: dict[int, tuple[float, str, str]] = {}
        self.reporter: tuple[str, Reporter] | None = None

    def handle(self, message: dict[str, Any]) -> None:
        """Process a message of the watched process."""
        if "watch" in message:
            self.runs[message["watch"]] = message["context"]
        elif "release" in message:
            self.runs.pop(message["release"], None)
        elif "arm" in message:
            self.deadlines[message["arm"]] = (time.monotonic() + message["in_s"], message["run"], message["why"])
        elif "disarm" in message:
            self.deadlines.pop(message["disarm"], None)

    def handle_signals(self, numbers: bytes) -> None:
        """Process signals that the watched process received."""
        if STOP_SIGNALS.intersection(numbers) and STOP_DEADLINE not in self.deadlines:
            with suppress(OSError):
                os.write(1, b"stop")
            self.expect_stop()

    def check_parent(self) -> None:
        """Stop a run if its launchers are gone: without them it can be neither monitored nor cancelled."""
        if STOP_DEADLINE not in self.deadlines and not all(map(_is_running, self.launchers)):
            self.expect_stop()
            with suppress(ProcessLookupError):
                os.kill(self.parent, signal.SIGTERM)

    def expect_stop(self) -> None:
        """Set the deadline until which the watched process must have exited."""
        if STOP_DEADLINE not in self.deadlines:
            why = f"It was told to stop, and was ended after {self.stop_s:g} s, for it did not."
            self.deadlines[STOP_DEADLINE] = (time.monotonic() + self.stop_s, next(iter(self.runs), ""), why)

    def poll(self) -> bool:
        """Start the reporter or kill the process when due; return whether the process was killed."""
        if not self.deadlines:
            self._cancel_reporter()
            return False
        at, run, why = min(self.deadlines.values())
        if self._reporter_lead_s and time.monotonic() >= at - self._reporter_lead_s:
            self.reporter = (run, Reporter(self.command, self.runs[run]))
        if time.monotonic() < at:
            return False
        if self.reporter:
            self.reporter[1].report(why, REPORT_WAIT_S)
        kill_tree(self.parent, self.token)
        if self.reporter:
            self.reporter[1].finish()
            self.runs.pop(self.reporter[0], None)
        return True

    def next_s(self) -> float:
        """Return the seconds until the next call of ``poll`` is needed."""
        at = min((at for at, _, _ in self.deadlines.values()), default=time.monotonic() + PARENT_CHECK_S)
        return min(PARENT_CHECK_S, max(0.0, at - self._reporter_lead_s - time.monotonic()))

    @property
    def _reporter_lead_s(self) -> float:
        """How long before the next deadline its reporter is started; 0 if it is running, or none is needed."""
        run = min(self.deadlines.values())[1] if self.deadlines else ""
        return REPORTER_START_S if run in self.runs and self.reporter is None else 0.0

    def clean_up(self) -> None:
        """Kill the children that the watched process left, and report its runs if it died in one."""
        self._cancel_reporter()
        if any(find_started(self.token)):
            time.sleep(ORPHAN_GRACE_S)
            kill_all(find_started(self.token))
        for context in self.runs.values():
            reporter = Reporter(self.command, context)
            reporter.report("", REPORTER_TIMEOUT_S)
            reporter.finish()

    def _cancel_reporter(self) -> None:
        if self.reporter:
            self.reporter[1].cancel()
            self.reporter = None


def find_launchers(pid: int) -> list[psutil.Process]:
    """Return the Dagster processes above a process: the code server and what started it."""
    with suppress(psutil.Error):
        return [
            process
            for process in psutil.Process(pid).parents()
            if LAUNCHER_PROGRAMS.intersection(_program_names(process))
        ]
    return []


def _is_running(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _is_pid_running(pid: int) -> bool:
    with suppress(psutil.Error):
        return _is_running(psutil.Process(pid))
    return False


def _program_names(process: psutil.Process) -> set[str]:
    """Return the program and the first arguments of a command line, without folders."""
    with suppress(psutil.Error):
        return {Path(word).name for word in process.cmdline()[:4]}
    return set()


def find_started(token: str) -> Iterator[psutil.Process]:
    """Yield the processes whose environment carries the token, also if their parent has changed."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get("CHATAI_WATCHED") == token:
                yield process


def kill_all(processes: Iterator[psutil.Process]) -> None:
    """Kill processes with SIGKILL."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def kill_tree(pid: int, token: str) -> None:
    """Kill a process and all that it has started, and wait until it is gone: only then it is sure to hold nothing."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    kill_all(find_started(token))
    until = time.monotonic() + KILL_WAIT_S
    while _is_pid_running(pid) and time.monotonic() < until:
        time.sleep(0.02)


def run(watched: WatchedProcess, signals: int) -> None:
    """Watch until the process is gone, then clean up.

    Args:
        signals: file descriptor from which signal numbers are read, one byte each.
    """
    unread = b""
    while os.getppid() == watched.parent and not watched.poll():
        watched.check_parent()
        ready, _, _ = select.select([0, signals], [], [], watched.next_s())
        if signals in ready:
            watched.handle_signals(os.read(signals, 1_024))
        if 0 in ready:
            data = os.read(0, 65_536)
            if not data:
                break
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                watched.handle(json.loads(line))
    watched.clean_up()


if __name__ == "__main__":
    run(WatchedProcess(sys.argv[2], float(sys.argv[3]), sys.argv[4:]), int(sys.argv[1]))
