"""What the scripts of this folder share: one real server in the foreground, for tests and for developers.

A script installs what is missing, starts its server on loopback, prints how to reach it as one line of
``NAME=value`` pairs (for ``env`` or ``export``), and stops it on Ctrl-C, on SIGTERM, or with ``--until-eof`` when
its standard input closes, so that no server outlives a killed test run. Only Python's standard library is used.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STOP_S = 30.0
MISSING = 3
"""Exit code of a script that may not install what is missing."""


class Missing(Exception):
    """Something is not installed, and may not or cannot be installed here."""


class NotStarted(Exception):
    """The server ended or stayed silent."""


def arguments(about: str) -> argparse.Namespace:
    """Return the options that all scripts have."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--folder", type=Path, help="where its data lies and stays; a temporary folder by default")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; a free one by default")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input closes")
    parser.add_argument(
        "--installed-only", action="store_true", help=f"install nothing; exit {MISSING} if it is missing"
    )
    parser.add_argument("--install", action="store_true", help="install what is missing and stop there")
    return parser.parse_args()


def run_script(main: Callable[[], None]) -> None:
    """Run a script; what cannot be done is one sentence on stderr."""
    # Both: a shell without job control has whatever it starts with & ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
    except Missing as missing:
        sys.stderr.write(f"{missing}\n")
        sys.exit(MISSING)
    except (NotStarted, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


def ensure(find: Callable[[], str | None], packages: Sequence[str], *, installed_only: bool) -> str:
    """Return what ``find`` finds, installing Debian packages if that is nothing; ``Missing`` if that cannot be."""
    if found := find():
        return found
    wanted = " ".join(packages)
    if installed_only or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(f"not installed; as root on Debian: apt-get install {wanted}")
    with _nothing_started():
        for step in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "-qq", *step], check=True, stdout=sys.stderr, env=environment)
    if found := find():
        return found
    raise Missing(f"{wanted} was installed, but what is needed of it is not there")


def ensure_program(name: str, packages: Sequence[str], *, installed_only: bool) -> str:
    """Return the path of a program; see ``ensure``."""
    return ensure(lambda: shutil.which(name), packages, installed_only=installed_only)


@contextmanager
def _nothing_started() -> Iterator[None]:
    """Keep Debian's packages from starting servers of their own while they are installed."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def folder_or_temporary(folder: Path | None, prefix: str) -> Iterator[Path]:
    """Give the folder, made if it is missing, or a temporary one that is removed in the end."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def serve(
    command: Sequence[str],
    *,
    reach: Mapping[str, str],
    is_ready: Callable[[], bool],
    log: Path,
    until_eof: bool,
    stop_by: signal.Signals = signal.SIGTERM,
    patience_s: float = 60.0,
    **popen: Any,
) -> None:
    """Run a server until somebody wants it to stop.

    Args:
        reach: what is printed once it is ready.
        is_ready: asked every 50 ms.
        log: gets what the server prints.
        stop_by: the signal of a clean stop.

    Raises:
        NotStarted: it ended, or was not ready in time.
    """
    started = time.monotonic()
    with log.open("ab") as output:
        # A session of its own: Ctrl-C reaches this script alone, which then stops the server its own way.
        server = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True, **popen
        )
    try:
        while not is_ready():
            if server.poll() is not None or time.monotonic() - started > patience_s:
                raise NotStarted(f"{Path(command[0]).name} did not start; see {log}")
            time.sleep(0.05)
        sys.stderr.write(f"ready after {time.monotonic() - started:.2f} s, log in {log}\n")
        sys.stdout.write(" ".join(f"{name}={value}" for name, value in reach.items()) + "\n")
        sys.stdout.flush()
        _wait(server, until_eof=until_eof)
    finally:
        _stop(server, stop_by)


def _wait(server: subprocess.Popen[bytes], *, until_eof: bool) -> None:
    if until_eof:
        threading.Thread(target=_interrupt_at_eof, daemon=True).start()
    if server.wait():
        raise NotStarted(f"the server ended by itself with {server.returncode}")


def _interrupt_at_eof() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)


def _stop(server: subprocess.Popen[bytes], by: signal.Signals) -> None:
    server.send_signal(by)
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
