"""What a parser child takes from itself before it opens a stranger's file.

The kernel's limits are the walls; the audit hook is a second one, for what the kernel has no limit for. Where a
system lacks one of them (macOS has no namespaces and hardly bounds memory) the others remain.
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
    """Give up network, writing, other processes and memory beyond the limit; end when the parent is gone.

    Args:
        programs: paths of programs that may be started all the same; they live within the same walls.
    """
    isolate_network()
    set_limit(resource.RLIMIT_CORE, 0)
    set_limit(resource.RLIMIT_FSIZE, 0)
    # Private memory is what a file can make grow; address space also counts what libraries merely map.
    set_limit(resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS, limits.memory_bytes)
    threading.Thread(target=exit_with_parent, args=(parent,), daemon=True, name="parent watch").start()
    sys.addaudithook(partial(audit, frozenset(programs)))


def set_limit(kind: int, value: int) -> None:
    """Lower one limit, where the system lets us."""
    _, hard = resource.getrlimit(kind)
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(kind, (ceiling, ceiling))
    except (ValueError, OSError):
        return


def set_cpu_limit(seconds: int) -> None:
    """Let this process use so many CPU seconds from now on; then the kernel ends it with SIGXCPU."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = int(usage.ru_utime + usage.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard))


def isolate_network() -> None:
    """Move into an empty network namespace: with root's rights directly, else by way of a user namespace."""
    if sys.platform != "linux":
        return
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    if unshare is not None and unshare(CLONE_NEWNET) != 0:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)


def exit_with_parent(parent: int) -> None:
    """End this process when its parent is another than it was.

    The kernel's parent-death signal would not do: it comes when the parent's *thread* ends that started us.
    """
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def audit(programs: frozenset[str], event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: refuse what reading a document never needs.

    Raises:
        PermissionError: the event is forbidden, or a file would be opened for writing.
    """
    if event == "subprocess.Popen" and arguments[0] in programs:
        return
    # What is told by its number is open already: a pipe.
    writes = event == "open" and arguments[2] & WRITE_FLAGS and not isinstance(arguments[0], int)
    if event in FORBIDDEN_EVENTS or writes:
        raise PermissionError(f"a parser may not {event}")
