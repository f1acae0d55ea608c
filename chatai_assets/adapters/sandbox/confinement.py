"""Privileges that a parser worker drops before it opens an untrusted file.

Kernel limits come first; an audit hook covers what the kernel has no limit for. On a system that lacks one of them
(macOS has no namespaces and barely limits memory) the others still apply.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import threading
import time
from collections.abc import Collection
from functools import partial
from typing import Any

from chatai_assets.adapters.parsers.limits import ParserLimits

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN_EVENTS = frozenset(
    [
        *(
            "socket.connect",
            "socket.bind",
            "socket.getaddrinfo",
            "socket.gethostbyname",
            "socket.sendto",
            "socket.sendmsg",
        ),
        *(
            "subprocess.Popen",
            "os.exec",
            "os.fork",
            "os.forkpty",
            "os.posix_spawn",
            "os.spawn",
            "os.system",
            "pty.spawn",
        ),
        *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"),
        *("os.chmod", "os.chown", "os.kill", "os.killpg"),
    ]
)
PARENT_CHECK_S = 1.0


def drop_privileges(limits: ParserLimits, parent: int, programs: Collection[str] = ()) -> None:
    """Give up network, file writes, other processes and memory beyond the limit; exit when the parent is gone.

    Args:
        limits: ``memory_bytes`` applies here.
        parent: process id of the parent.
        programs: paths of programs that may still be started; they inherit the same limits.
    """
    isolate_network()
    set_limit(resource.RLIMIT_CORE, 0)
    set_limit(resource.RLIMIT_FSIZE, 0)
    # Private memory is what a file can inflate; the address space also counts what libraries only map.
    set_limit(resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS, limits.memory_bytes)
    threading.Thread(target=exit_with_parent, args=(parent,), daemon=True, name="parent watch").start()
    sys.addaudithook(partial(audit, frozenset(programs)))


def set_limit(kind: int, value: int) -> None:
    """Lower one resource limit, if the system allows it."""
    _, hard = resource.getrlimit(kind)
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(kind, (ceiling, ceiling))
    except (ValueError, OSError):
        return


def set_cpu_limit(seconds: int) -> None:
    """Allow this process so many further seconds of CPU; after that the kernel ends it with SIGXCPU."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(usage.ru_utime + usage.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def isolate_network() -> None:
    """Move into an empty network namespace: directly as root, otherwise inside a new user namespace."""
    if sys.platform != "linux":
        return
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    if unshare is not None and unshare(CLONE_NEWNET) != 0:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)


def exit_with_parent(parent: int) -> None:
    """Exit when the parent process is gone.

    The kernel's parent-death signal is no substitute: it is sent when the parent *thread* that started us ends.
    """
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def audit(programs: frozenset[str], event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: refuse operations that reading a document never needs.

    Raises:
        PermissionError: the event is forbidden, or a file is opened for writing.
    """
    if event == "subprocess.Popen" and arguments[0] in programs:
        return
    # A descriptor number means the file is open already, e.g. a pipe.
    writes = event == "open" and arguments[2] & WRITE_FLAGS and not isinstance(arguments[0], int)
    if event in FORBIDDEN_EVENTS or writes:
        raise PermissionError(f"a parser may not {event}")
