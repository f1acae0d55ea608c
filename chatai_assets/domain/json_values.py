"""Accessors for untrusted JSON: each returns a value of the expected type, or an empty one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MAX_SECONDS = 253_402_300_799  # 9999-12-31: the last moment that datetime supports
MAX_NUMBER_CHARS = 20  # int() of a very long string is slow, and raises


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def array(value: Any) -> list[Any]:
    """Return a list, or an empty one."""
    return value if isinstance(value, list) else []


def string(value: Any) -> str:
    """Return a string, or the empty one."""
    return value if isinstance(value, str) else ""


def integer(value: Any) -> int | None:
    """Return an integer, also if written as ``"57"`` or ``57.0``; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= MAX_NUMBER_CHARS:
        digits = value.strip().removesuffix(".0")
        if digits.isascii() and digits.removeprefix("-").isdigit():
            return int(digits)
    return None


def moment(value: Any) -> int | None:
    """Return epoch seconds of such a number or of an ISO date (UTC without a zone); None for anything else."""
    seconds = integer(value)
    if seconds is None:
        try:
            when = datetime.fromisoformat(string(value).strip())
            seconds = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            return None
    return seconds if 0 < seconds <= MAX_SECONDS else None
