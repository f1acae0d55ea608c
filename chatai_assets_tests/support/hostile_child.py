"""A parser process that misbehaves as some files request, like a process with a fault in a library.

``python -m chatai_assets_tests.support.hostile_child PARENT_PID``, started by a ``ParserPool`` with this module.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.registry import read_document
from chatai_assets.adapters.sandbox import worker as child
from chatai_assets.domain.documents import ParsedDocument

TRICK = b"TRICK "


def _spin() -> None:
    while True:
        pass


def _hold_everything() -> None:
    """Compute for a long time in C without releasing the interpreter."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def _grow() -> None:
    held = [b""]
    while True:
        held.append(bytes(2**20))


TRICKS: dict[str, Any] = {
    "exit": lambda: os._exit(3),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "kill": lambda: signal.raise_signal(signal.SIGKILL),
    "loop": _spin,
    "gil": _hold_everything,
    "sleep": lambda: time.sleep(1e6),
    "memory": _grow,
    "block": lambda: bytes(2**33),
}


def read(path: Path, name: str, limits: ParserLimits, known_format: str | None = None) -> ParsedDocument:
    """Run the trick that the first line of a file names, or read the file."""
    with path.open("rb") as file:
        line = file.readline(100)
    if line.startswith(TRICK):
        TRICKS[line.removeprefix(TRICK).split()[0].decode()]()
    return read_document(path, name, limits, known_format)


if __name__ == "__main__":
    child.__dict__["read_document"] = read
    child.main()
