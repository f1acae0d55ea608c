"""Streams JSON of any size value by value, in bounded memory.

Unlike an event parser it decodes whole records with the C scanner of ``json`` and still knows their context: one pass
returns each message together with its chat.
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
"""A single record is never longer; longer values count as broken."""

SPACE = re.compile(r"[ \t\n\r]*")
# A lone surrogate can be written in JSON but not stored as UTF-8.
LONE_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F])"
)
SURROGATE = re.compile("[\ud800-\udfff]")


class BrokenJson(ValueError):
    """The text is not JSON from some point on; ``str()`` says why, without quoting it."""


def finite(number: str) -> float | None:
    """Return a number with a fraction; None if it is too large for a float."""
    value = float(number)
    return value if math.isfinite(value) else None


DECODER = json.JSONDecoder(parse_float=finite, parse_constant=lambda _: None)
"""Strict JSON: NaN and infinities become null."""


def decode(text: str) -> Any:
    """Return the value in a JSON text.

    Raises:
        BrokenJson: it is not JSON, or nested too deeply.
    """
    try:
        value = DECODER.decode(text)
    except RecursionError:
        raise BrokenJson("it is nested too deeply") from None
    except ValueError:
        raise BrokenJson("it is no JSON") from None
    return storable(value) if LONE_SURROGATE.search(text) else value


def storable(value: Any) -> Any:
    """Return a value with U+FFFD for every lone surrogate, which keeps its length in UTF-16."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


class JsonStreamReader:
    """Reads a JSON text from a stream, value by value.

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
        """Return the next character that is not white space; empty at the end."""
        while True:
            self._at = self._after_space(self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_more():
                return ""

    def value(self) -> Any:
        """Return the next whole value and advance past it.

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
                if not self._read_more():
                    raise BrokenJson(self._error_reason()) from None
                continue
            # A number at the very end of the buffer may continue.
            if end < len(self._text) or not self._read_more():
                escaped = self._text.find("\\u", self._at, end)
                lone = escaped >= 0 and LONE_SURROGATE.search(self._text, escaped, end)
                self._at = end
                return storable(value) if lone else value

    def elements(self) -> Iterator[None]:
        """Yield before each element of the next list; the caller must read the element."""
        yield from self._members("[", "]")

    def keys(self) -> Iterator[str]:
        """Yield each key of the next object; the caller must read its value."""
        for _ in self._members("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                raise BrokenJson("a key is no string")
            self._expect(":")
            yield key

    def _members(self, opening: str, closing: str) -> Iterator[None]:
        self._expect(opening)
        if self.peek() != closing:
            yield
            while self.peek() != closing:
                self._expect(",")
                yield
        self._expect(closing)

    def _expect(self, expected: str) -> None:
        if self.peek() != expected:
            raise BrokenJson(self._error_reason())
        self._at += 1

    def _error_reason(self) -> str:
        if len(self._text) - self._at > MAX_VALUE_CHARS:
            return "a value is too long, or not closed"
        # At the end of the file the reason is the missing rest, whatever the last characters are.
        return self._ending if self._ended else "it stops being JSON"

    def _after_space(self, at: int) -> int:
        match = SPACE.match(self._text, at)
        return match.end() if match else at

    def _read_more(self) -> bool:
        """Read at least as much as is still unparsed, so that long values are attempted only a few times."""
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
