"""A disk that fails on demand: the system calls of a running process return ENOSPC or EIO, at the files one chooses.

The calls are real and so are the files; strace stops the process at each call and has the kernel answer it with an
error. That needs no privilege: a process may let itself be traced. A small file system of its own would need one to be
mounted, can only be full and not fail, and is full for all files at once; a limit of the size of files (RLIMIT_FSIZE)
raises EFBIG, and SQLite's ``max_page_count`` never reaches the log. Writes without a system call are out of reach:
pages written through a mapping (SQLite's shared memory, most of the vector index) fail with a signal on a real full
disk. Growing such a file is a call.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ATTACH_S = 20.0
PR_SET_PTRACER = 0x59616D61
ANYONE = ctypes.c_ulong(-1)
WRITE_CALLS = ("write", "pwrite64", "pwritev", "ftruncate", "fallocate")
NAME_CALLS = ("mkdir", "mkdirat", "rename", "renameat", "renameat2")
SYNC_CALLS = ("fsync", "fdatasync", "msync")
CALLS_OF_ANY_FILE = {*NAME_CALLS, *SYNC_CALLS, "pwrite64", "pwritev", "ftruncate", "fallocate"}
"""Calls that are about files only; the others may be about pipes and sockets as well."""
CALLS = {"ENOSPC": (*WRITE_CALLS, *NAME_CALLS), "EIO": (*WRITE_CALLS, *SYNC_CALLS, "pread64")}
INJECTED_LINE = re.compile(r"(\w+)\((?:\d+<([^>]*)>|\"([^\"]*)\")?.*\(INJECTED\)")


class TracerMissing(Exception):
    """Processes cannot be traced on this machine; the message says why."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes:
        error: ``ENOSPC`` or ``EIO``.
        files: at which; none for all.
        every: only every so many calls of a kind fail; 1 is all of them.
        spared: calls that do not fail.
    """

    error: str
    files: Sequence[Path] = ()
    every: int = 1
    spared: Collection[str] = ()

    def options(self) -> list[str]:
        """Return the options of strace."""
        calls = [
            call for call in CALLS[self.error] if call not in self.spared and (self.files or call in CALLS_OF_ANY_FILE)
        ]
        inject = f"inject={','.join(calls)}:error={self.error}:when={self.every}+{self.every}"
        paths = [part for file in self.files for part in ("-P", str(file))]
        return ["-e", f"trace={','.join(calls)}", "-e", "signal=none", "-e", inject, *paths]


def allow_tracing() -> None:
    """Allow processes of the same user to trace this one, where the system requires it."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYONE, 0, 0, 0)


@contextmanager
def inject_fault(process: int, fault: Fault, told: Counter[str], log: Path) -> Iterator[None]:
    """Make system calls of a process and its children fail until the block ends.

    Args:
        told: counts ``ENOSPC pwrite64 records.sqlite-wal`` -> how often.
        log: file for the output of strace; overwritten.

    Raises:
        TracerMissing: there is no strace, or it may not trace.
    """
    if not shutil.which("strace"):
        raise TracerMissing("strace is not installed: apt-get install strace")
    command = ["strace", "-f", "-y", "-o", str(log), *fault.options(), "-p", str(process)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        try:
            said = tracer.stderr.readline() if tracer.stderr else ""
            if "attached" not in said and tracer.wait(ATTACH_S) and "No such process" not in said:
                raise TracerMissing(f"strace cannot trace: {said.strip()}")
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(ATTACH_S)
    told.update(_read_injected(log, fault.error))


def _read_injected(log: Path, error: str) -> Iterator[str]:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := INJECTED_LINE.search(line):
            yield f"{error} {found[1]} {_kind(Path(found[2] or found[3] or '?'))}"


def _kind(path: Path) -> str:
    """Return the kind of a file, without the parts of its name that are random."""
    parts = path.parts
    for store in ("vectors", "graph", "blobs"):
        if store in parts:
            return f"{store}/*{path.suffix}"
    return path.name
