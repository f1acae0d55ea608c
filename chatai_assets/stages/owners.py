"""Who holds a claim: a token that says which process on which machine, and never repeats."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4


@cache
def _machine() -> str:
    """Return what process ids are comparable within: the host and, on Linux, the process id namespace."""
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")  # noqa: PTH115 - Path cannot read this link
    return f"{socket.gethostname()}.{namespace}"


def _started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" where that is not told."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return ""


def new_owner() -> str:
    """Return a fresh fencing token of this process."""
    return f"{_machine()}/{os.getpid()}/{_started(os.getpid())}/{uuid4().hex}"


def is_gone(owner: str) -> bool:
    """Return whether a token's process surely no longer runs; False for other machines, which only leases judge."""
    machine, pid, started, _ = owner.rsplit("/", 3)
    if machine != _machine():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(pid)) != started
