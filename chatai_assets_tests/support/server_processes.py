"""Servers that all processes of one test session share, whichever process needs one first.

The process that starts the session calls ``session_folder`` and passes the folder to its workers. ``shared_server``
starts a server on the first request and finds the running one after that. Each server reads from a FIFO whose
writing end only the first process holds open, so the servers stop when it ends, even if it is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import psutil

from chatai_assets.files.locks import exclusive_lock

SCRIPTS = Path(__file__).parents[2] / "deploy" / "services"
IN_CI = os.environ.get("CI", "").lower() == "true"
START_S = 600
"""With the time that CI needs to install a server."""
STOP_S = 60
FIFO = "session"

Reach = Mapping[str, str]
"""Names of environment variables and their values: how a server is reached."""


class ServerMissing(Exception):
    """A server is not available on this machine; the message says why."""


@contextmanager
def session_folder() -> Iterator[Path]:
    """Yield a folder in which the processes of a session share servers; stop the servers at the end."""
    with TemporaryDirectory(prefix="chatai-session-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.mkfifo(folder / FIFO)
        writer = os.open(folder / FIFO, os.O_RDWR | os.O_CLOEXEC)
        try:
            yield folder
        finally:
            os.close(writer)
            _wait_for_scripts(folder)


def shared_server(name: str, folder: Path) -> Reach:
    """Return how the session's server is reached; start it if this is the first request.

    Args:
        name: of a script of ``deploy/services``.
        folder: of the session, see ``session_folder``.

    Raises:
        ServerMissing: it cannot be started on this machine.
    """
    known = folder / f"{name}.json"
    with exclusive_lock(folder / f"{name}.lock", START_S):
        if not known.exists():
            known.write_text(json.dumps(_start(name, folder)), encoding="utf-8")
    found = json.loads(known.read_text(encoding="utf-8"))
    if "missing" in found:
        raise ServerMissing(found["missing"])
    return dict(found["reach"])


@contextmanager
def run_server(name: str) -> Iterator[Reach]:
    """Run a server of one's own until the block ends.

    Raises:
        ServerMissing: it cannot be started on this machine.
    """
    with (
        TemporaryFile("w+") as log,
        subprocess.Popen(
            script_command(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as script,
    ):
        assert script.stdin
        assert script.stdout
        line = script.stdout.readline()
        if not line:
            script.wait(60)
            log.seek(0)
            raise ServerMissing(f"{name}: {log.read().strip()}")
        yield parse_reach(line)
        script.stdin.close()
        script.wait(60)


def script_command(name: str) -> list[str]:
    """Return the command that runs a server until its standard input closes."""
    return [sys.executable, str(SCRIPTS / f"{name}.py"), "--until-eof", *([] if IN_CI else ["--installed-only"])]


def parse_reach(line: str) -> Reach:
    """Return the variables of the line that a script prints when its server is ready."""
    return dict(pair.split("=", 1) for pair in line.split())


def _start(name: str, folder: Path) -> dict[str, object]:
    log, output = folder / f"{name}.log", folder / f"{name}.out"
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, str(folder / FIFO), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT, 0o600),
    ]
    # Not subprocess: the script outlives this worker, and a Popen object warns when it is dropped before its process.
    pid = os.posix_spawn(sys.executable, script_command(name), os.environ, file_actions=actions, setsid=True)
    while not (output.exists() and output.read_text(encoding="utf-8").endswith("\n")):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return {"missing": f"{name}: {log.read_text(encoding='utf-8').strip()}"}
        time.sleep(0.02)
    return {"reach": dict(parse_reach(output.read_text(encoding="utf-8"))), "pid": pid}


def _wait_for_scripts(folder: Path) -> None:
    pids = [json.loads(path.read_text(encoding="utf-8")).get("pid") for path in folder.glob("*.json")]
    scripts = []
    for pid in filter(None, pids):
        with suppress(psutil.NoSuchProcess):
            scripts.append(psutil.Process(pid))
    psutil.wait_procs(scripts, STOP_S)
