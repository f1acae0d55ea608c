"""What to do where the system does not read or write a file."""

from __future__ import annotations

import errno
import os

ADVICE = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space, or raise the quota of the disk",
    errno.EIO: "check that disk",
    errno.EROFS: "check that disk: it can only be read",
    errno.EACCES: "check whose the files are",
}


def describe_errno(number: int | None) -> str:
    """Return what the system says, and what to do, for a number of ``errno``: without a name of a file."""
    said = os.strerror(number) if number else "the system refused"
    return f"{said}; {ADVICE[number]}" if number in ADVICE else said


def errno_in(message: str) -> int | None:
    """Return the number of ``errno`` of which a library's message has the system's words, of those with an advice."""
    return next((number for number in ADVICE if os.strerror(number) in message), None)
