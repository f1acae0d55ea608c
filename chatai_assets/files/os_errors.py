"""Errors of the operating system on files: what they say, and what to do about them."""

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
    """Return the system's text for an ``errno`` and what to do about it, without any file name."""
    text = os.strerror(number) if number else "the system refused"
    return f"{text}; {ADVICE[number]}" if number in ADVICE else text


def errno_in(message: str) -> int | None:
    """Return the ``errno`` whose system text occurs in a library's message; None if none with an advice does."""
    return next((number for number in ADVICE if os.strerror(number) in message), None)
