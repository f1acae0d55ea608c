"""The process that watches a process that runs stages: it ends it where it hangs, and tidies up after it.

Started by ``watchdog``, by path and alone: it imports nothing of the program, needs none of the watched one's
interpreter lock, and is in a session of its own, so that Ctrl-C and a kill of the group leave it to its work.

Standard input carries one JSON object a line: ``{"attend": RUN, "words": [..]}`` (should the process end in
this run, these lines are for ``last_words``), ``{"leave": RUN}``, ``{"arm": N, "run": RUN, "in_s": S, "why": ".."}``,
``{"disarm": N}``. Its end is the end of the watched process. The pipe named in the arguments carries the numbers of
signals, written by the interpreter's handler in C: whoever is told to stop hears so on standard output, and has so many
seconds to do it.
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
"""Between looks at whether the watched process still is our parent."""
REPORTER_START_S = 2.0
"""Before the hard end the last words are prepared: Dagster takes about two seconds to load."""
REPORT_WAIT_S = 2.0
"""How long the last words may take while the process still lives; it is ended then in any case."""
REPORTER_TIMEOUT_S = 60.0
KILL_WAIT_S = 10.0
"""A killed process is gone as soon as the system finds time for it."""
ORPHAN_GRACE_S = 2.5
"""Children that see for themselves that their parent is gone look once a second."""
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
LAUNCHER_PROGRAMS = {"dagster", "dagster-daemon", "dagster._daemon"}
"""Programs that start runs, by the words of their command lines."""


class Reporter:
    """The process that says what became of a run, since the one that worked on it cannot."""

    def __init__(self, command: list[str], head: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._write(*head)

    def _write(self, *lines: str) -> None:
        with suppress(OSError, ValueError):
            if self._process.stdin:
                self._process.stdin.write("".join(f"{line}\n" for line in lines))
                self._process.stdin.flush()

    def report(self, sentence: str, within_s: float) -> None:
        """Have the run failed with a sentence, and wait a little until that is done."""
        self._write(sentence)
        if self._process.stdout:
            select.select([self._process.stdout], [], [], within_s)

    def finish(self) -> None:
        """Let it give back what was claimed, now that the process is gone."""
        self._write("gone")
        try:
            self._process.communicate(timeout=REPORTER_TIMEOUT_S)
        except (subprocess.TimeoutExpired, ValueError, OSError):
            self._process.kill()
            self._process.wait()

    def cancel(self) -> None:
        """End it: there is nothing to say."""
        self._process.kill()
        self._process.communicate()


class WatchedProcess:
    """What is known of the watched process.

    Attributes:
        runs: run -> first lines for its last words.
        ends: number of a deadline, or 0 for a stop that was asked for -> when it passes, the run and the sentence.
    """

    def __init__(self, token: str, stop_s: float, command: list[str]) -> None:
        self.parent = os.getppid()
        self.token = token
        self.stop_s = stop_s
        self.command = command
        self.above = find_launchers(self.parent)
        self.runs: dict[str, list[str]] = {}
        self.ends: dict[int, tuple[float, str, str]] = {}
        self.words: tuple[str, Reporter] | None = None

    def handle(self, message: dict[str, Any]) -> None:
        """Take a message of the watched process."""
        if "attend" in message:
            self.runs[message["attend"]] = message["words"]
        elif "leave" in message:
            self.runs.pop(message["leave"], None)
        elif "arm" in message:
            self.ends[message["arm"]] = (time.monotonic() + message["in_s"], message["run"], message["why"])
        elif "disarm" in message:
            self.ends.pop(message["disarm"], None)

    def handle_signals(self, numbers: bytes) -> None:
        """Take signals that the watched process received."""
        if STOP_SIGNALS.intersection(numbers) and 0 not in self.ends:
            with suppress(OSError):
                os.write(1, b"stop")
            self.expect_stop()

    def check_parent(self) -> None:
        """Tell a run to stop whose starters have left: nobody would watch it or could cancel it any more."""
        if 0 not in self.ends and not all(map(_is_running, self.above)):
            self.expect_stop()
            with suppress(ProcessLookupError):
                os.kill(self.parent, signal.SIGTERM)

    def expect_stop(self) -> None:
        """Give the watched process so many seconds to end."""
        if 0 not in self.ends:
            why = f"It was told to stop, and was ended after {self.stop_s:g} s, for it did not."
            self.ends[0] = (time.monotonic() + self.stop_s, next(iter(self.runs), ""), why)

    def poll(self) -> bool:
        """Do what is due; return whether the watched process was ended."""
        if not self.ends:
            self._unsay()
            return False
        at, run, why = min(self.ends.values())
        if self._ahead_s and time.monotonic() >= at - self._ahead_s:
            self.words = (run, Reporter(self.command, self.runs[run]))
        if time.monotonic() < at:
            return False
        if self.words:
            self.words[1].report(why, REPORT_WAIT_S)
        kill_tree(self.parent, self.token)
        if self.words:
            self.words[1].finish()
            self.runs.pop(self.words[0], None)
        return True

    def next_s(self) -> float:
        """Return how long there is nothing to do."""
        at = min((at for at, _, _ in self.ends.values()), default=time.monotonic() + PARENT_CHECK_S)
        return min(PARENT_CHECK_S, max(0.0, at - self._ahead_s - time.monotonic()))

    @property
    def _ahead_s(self) -> float:
        """How long before the next end its words are prepared; 0 where they are, or there are none."""
        run = min(self.ends.values())[1] if self.ends else ""
        return REPORTER_START_S if run in self.runs and self.words is None else 0.0

    def clean_up(self) -> None:
        """End what the watched process left behind, and speak for it if it ended in mid-run."""
        self._unsay()
        if any(find_started(self.token)):
            time.sleep(ORPHAN_GRACE_S)
            kill_all(find_started(self.token))
        for head in self.runs.values():
            words = Reporter(self.command, head)
            words.report("", REPORTER_TIMEOUT_S)
            words.finish()

    def _unsay(self) -> None:
        if self.words:
            self.words[1].cancel()
            self.words = None


def find_launchers(pid: int) -> list[psutil.Process]:
    """Return the programs of Dagster above a process: the code server, and who started that."""
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
    """Yield the processes whose environment carries the token, whoever their parent is by now."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get("CHATAI_WATCHED") == token:
                yield process


def kill_all(processes: Iterator[psutil.Process]) -> None:
    """End processes at once."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def kill_tree(pid: int, token: str) -> None:
    """End a process and all that it has started, and wait until it is gone: only then it is known to hold nothing."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    kill_all(find_started(token))
    until = time.monotonic() + KILL_WAIT_S
    while _is_pid_running(pid) and time.monotonic() < until:
        time.sleep(0.02)


def run(state: WatchedProcess, signals: int) -> None:
    """Watch until the process is gone."""
    unread = b""
    while os.getppid() == state.parent and not state.poll():
        state.check_parent()
        ready, _, _ = select.select([0, signals], [], [], state.next_s())
        if signals in ready:
            state.handle_signals(os.read(signals, 1_024))
        if 0 in ready:
            data = os.read(0, 65_536)
            if not data:
                break
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                state.handle(json.loads(line))
    state.clean_up()


if __name__ == "__main__":
    run(WatchedProcess(sys.argv[2], float(sys.argv[3]), sys.argv[4:]), int(sys.argv[1]))
