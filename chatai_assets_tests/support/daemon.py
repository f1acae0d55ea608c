"""The real program as users start it: ``make run`` on a free port, the command line, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import select

from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.services import open_services
from chatai_assets.settings import PROJECT, read_settings
from chatai_assets.storage.schema import work

BIN = Path(sys.executable).parent
UI_WAIT_S = 90.0
END_WAIT_S = 30.0
COMMAND_WAIT_S = 120.0
WITH_DEFAULT_SIGINT = (
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])",
)
"""Undoes what a shell does to jobs in the background, as tests may be: Dagster leaves an ignored signal ignored."""
PROJECT_VARIABLES = ("CHATAI_", "DAGSTER_", "DATABASE_URL", "MAKE", "MFLAGS")
"""Beginnings of variables that would lead the program elsewhere than a newcomer's shell does."""


class Daemon:
    """A started program and its home.

    Attributes:
        home: ``CHATAI_HOME``.
        port: of the UI.
        url: of the UI.
        process: of ``make``; leads a session of its own, as the shell of a terminal lets it.
        up_s: seconds from the start until the UI answered.
        up_at: when it answered, on the monotonic clock.
    """

    def __init__(self, home: Path, log: Path, command: list[str], port: int, **place: Any) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        started = time.monotonic()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **place,
            )
        self.up_s = self.until(self._answers, UI_WAIT_S, "the UI answers")
        self.up_at = started + self.up_s

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/server_info", timeout=2).is_success
        return False

    def until(self, condition: Callable[[], Any], timeout_s: float, what: str) -> float:
        """Return the seconds until a condition holds; fail with the end of the log if it never does."""
        started = time.monotonic()
        while not condition():
            waited = time.monotonic() - started
            if waited > timeout_s or self.process.poll() is not None:
                end = self._log.read_text(encoding="utf-8", errors="replace")[-4_000:]
                raise AssertionError(f"Waited {waited:.0f} s in vain until {what}. The log ends with:\n{end}")
            time.sleep(0.5)
        return time.monotonic() - started

    def chatai(self, *arguments: str) -> Any:
        """Return the JSON output of a command on this home."""
        return chatai(self.home, *arguments)

    def finds(self, query: str, source: str) -> bool:
        """Return whether a search shows a source; ``doc/`` stands for any document."""
        return any(hit["source"].startswith(source) for hit in self.chatai("search", query))

    def work_rows(self) -> dict[tuple[str, str], tuple[str, str, float]]:
        """Return (source key, stage) -> its state, which run did it last, and when."""
        settings = read_settings({"CHATAI_HOME": str(self.home)})
        with open_services(settings) as services, services.records.reading() as connection:
            rows = connection.execute(select(work)).mappings().all()
        return {(row["source_key"], row["stage"]): (row["state"], row["run_id"], row["changed_at"]) for row in rows}

    def is_settled(self, sources: int) -> bool:
        """Return whether at least so many sources arrived and all of them went as far as they can."""
        states = defaultdict[str, list[str]](list)
        for (source, _), (state, _, _) in self.work_rows().items():
            states[source].append(state)
        return len(states) >= sources and all(
            "failed" in stages or stages == ["done"] * len(ITEM_STAGES) for stages in states.values()
        )

    def processes(self) -> list[psutil.Process]:
        """Return what runs in the session of the program or has its home in its environment."""
        return find_processes(self.home, self.process.pid)

    def interrupt(self) -> float:
        """Press Ctrl-C, and return the seconds until no process is left."""
        started = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(END_WAIT_S)
        while left := self.processes():
            if time.monotonic() - started > END_WAIT_S:
                raise AssertionError(f"Still there after Ctrl-C: {[process.cmdline() for process in left]}")
            time.sleep(0.05)
        return time.monotonic() - started

    def kill(self) -> None:
        """Kill all remaining processes."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(END_WAIT_S)


def find_processes(home: Path, session: int | None = None) -> list[psutil.Process]:
    """Return what runs in a session or has a home in its environment."""
    return [process for process in psutil.process_iter() if _belongs(process, home, session)]


def _belongs(process: psutil.Process, home: Path, session: int | None) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return os.getsid(process.pid) == session or process.environ().get("CHATAI_HOME") == str(home)
    except (psutil.Error, OSError):
        return False


def start_make_run(home: Path, log: Path, variables: Mapping[str, str] | None = None) -> Daemon:
    """Start ``make run`` in the environment of these tests, and wait until its UI answers.

    Args:
        variables: settings of the program; without them a newcomer's.
    """
    port = free_port()
    command = [*WITH_DEFAULT_SIGINT, *run_target(home, port)]
    return Daemon(home, log, command, port, cwd=PROJECT, env={**clean_environment(), **(variables or {})})


def run_target(home: Path, port: int) -> list[str]:
    """Return the command ``make run``, for a home and a port, with the packages of this environment."""
    # Without "-o setup" an edited pyproject.toml would be reinstalled in the middle of the tests.
    return ["make", "-o", "setup", "run", f"BIN={BIN}", f"PORT={port}", f"CHATAI_HOME={home}"]


def start_dagster_dev(project: Path, log: Path) -> Daemon:
    """Start bare ``dagster dev`` in a copy of the project's folder, without any variable of ours."""
    port = free_port()
    command = [*WITH_DEFAULT_SIGINT, str(BIN / "dagster"), "dev", "--port", str(port)]
    environment = clean_environment() | {"PYTHONPATH": str(project)}  # the copy, not what is installed
    return Daemon(project / ".chatai", log, command, port, cwd=project, env=environment)


def clean_environment() -> dict[str, str]:
    """Return the environment without what is set for this project."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PROJECT_VARIABLES)}


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def chatai(home: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> Any:
    """Run the command line with ``--json`` and return its document."""
    environment = {**clean_environment(), "CHATAI_HOME": str(home), **(variables or {})}
    done = run_command([str(BIN / "chatai"), *arguments, "--json"], environment)
    assert done.returncode == 0, f"chatai {' '.join(arguments)}: {done.stderr}"
    return json.loads(done.stdout)


def run_command(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder and return its output and exit code."""
    return subprocess.run(
        command, check=False, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=COMMAND_WAIT_S
    )
