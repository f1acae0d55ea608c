"""Walking through JSON of any size, value by value, in bounded memory.

Unlike an event parser it decodes whole records with the C scanner of ``json`` and still knows
what stood around them: one pass gives each message together with its chat.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from typing import IO, Any

CHUNK_BYTES = 1 << 18
MAX_VALUE_CHARS = 1 << 24
"""A single record is never longer; what is, is taken for broken."""

SPACE = re.compile(r"[ \t\n\r]*")
# A lone half of a pair can be written in JSON but not stored as UTF-8.
LONE_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F])"
)
SURROGATE = re.compile("[\ud800-\udfff]")


class BrokenJson(ValueError):
    """The text stops being JSON; ``str()`` says how, without any of it."""


def finite(number: str) -> float | None:
    """Return a number with a fraction; None where it is too large to be one."""
    value = float(number)
    return value if math.isfinite(value) else None


DECODER = json.JSONDecoder(parse_float=finite, parse_constant=lambda _: None)
"""Knows only what JSON knows: NaN and infinities become null."""


def decode(text: str) -> Any:
    """Return the one value that a text holds.

    Raises:
        BrokenJson: it is no JSON, or nested too deeply.
    """
    try:
        value = DECODER.decode(text)
    except RecursionError:
        raise BrokenJson("it is nested too deeply") from None
    except ValueError:
        raise BrokenJson("it is no JSON") from None
    return storable(value) if LONE_SURROGATE.search(text) else value


def storable(value: Any) -> Any:
    """Return a value with U+FFFD for every lone surrogate: as long, in UTF-16, as what it replaces."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


class JsonStreamReader:
    """A place in a JSON text.

    Args:
        stream: UTF-8, with or without a byte order mark.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False
        self._ending = "the file ends in the middle"

    def peek(self) -> str:
        """Return the first character of what comes next, spaces passed over; empty at the end."""
        while True:
            self._at = self._after_space(self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                return ""

    def value(self) -> Any:
        """Return the next value, whole, and pass over it.

        Raises:
            BrokenJson: there is none, or it is longer than ``MAX_VALUE_CHARS``.
        """
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise BrokenJson("it is nested too deeply") from None
            except ValueError:
                if not self._grow():
                    raise BrokenJson(self._why()) from None
                continue
            # A number at the very end of what was read may go on.
            if end < len(self._text) or not self._grow():
                escaped = self._text.find("\\u", self._at, end)
                lone = escaped >= 0 and LONE_SURROGATE.search(self._text, escaped, end)
                self._at = end
                return storable(value) if lone else value

    def elements(self) -> Iterator[None]:
        """Stand before each element of the list that comes next; the caller takes it."""
        yield from self._members("[", "]")

    def keys(self) -> Iterator[str]:
        """Yield each key of the object that comes next; the caller takes its value."""
        for _ in self._members("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                raise BrokenJson("a key is no string")
            self._take(":")
            yield key

    def _members(self, opening: str, closing: str) -> Iterator[None]:
        self._take(opening)
        if self.peek() != closing:
            yield
            while self.peek() != closing:
                self._take(",")
                yield
        self._take(closing)

    def _take(self, expected: str) -> None:
        if self.peek() != expected:
            raise BrokenJson(self._why())
        self._at += 1

    def _why(self) -> str:
        if len(self._text) - self._at > MAX_VALUE_CHARS:
            return "a value is too long, or not closed"
        # At the end of the file what is missing was never written, whatever stands there.
        return self._ending if self._ended else "it stops being JSON"

    def _after_space(self, at: int) -> int:
        match = SPACE.match(self._text, at)
        return match.end() if match else at

    def _grow(self) -> bool:
        """Read on, at least as much as is still unread, so that long values are tried few times."""
        unread = len(self._text) - self._at
        if self._ended or unread > MAX_VALUE_CHARS:
            return False
        chunk = self._stream.read(max(CHUNK_BYTES, unread))
        try:
            more = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            more = error.object[: error.start].decode("utf-8-sig")
            self._ending = "there are bytes that are not UTF-8"
            chunk = b""
        self._ended = not chunk
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
