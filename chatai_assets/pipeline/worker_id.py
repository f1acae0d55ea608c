"""Who holds a claim: a token that says which process on which machine, and never repeats."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

ENDED = "ZX"
"""States of processes that ended but were not reaped yet."""


@cache
def _machine() -> str:
    """Return what process ids are comparable within: the host and, on Linux, the process id namespace."""
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")  # noqa: PTH115 - Path cannot read this link
    return f"{socket.gethostname()}.{namespace}"


def _started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" if it has ended or the system does not say."""
    with suppress(OSError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if stat[0] in ENDED else stat[19]
    return ""


def new_lease_token() -> str:
    """Return a fresh fencing token of this process."""
    return f"{_machine()}/{os.getpid()}/{_started(os.getpid())}/{uuid4().hex}"


def is_remote(owner: str) -> bool:
    """Return whether a token is of another machine, on whose processes we cannot look."""
    return owner.rsplit("/", 3)[0] != _machine()


def is_running(owner: str) -> bool:
    """Return whether a token's process is known to run; False for other machines."""
    return not is_remote(owner) and not is_dead(owner)


def is_dead(owner: str) -> bool:
    """Return whether a token's process surely no longer runs; False for other machines, which only leases judge."""
    _, pid, started, _ = owner.rsplit("/", 3)
    if is_remote(owner):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(pid)) != started
