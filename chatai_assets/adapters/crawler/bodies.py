"""Bodies of answers, unpacked block by block, never further than their limit."""

from __future__ import annotations

import zlib

from chatai_assets.adapters.crawler.limits import PageFault

ACCEPTED = "gzip, deflate"
EITHER_HEADER = 47
"""zlib's ``wbits`` for a gzip or a zlib header, whichever is there."""


class Body:
    """What an answer says, as it comes in.

    Args:
        encoding: the answer's ``Content-Encoding``.
        wire_bytes: at most, as sent.
        body_bytes: at most, as unpacked.

    Raises:
        PageFault: ``wrong_type`` for an encoding that was not asked for.
    """

    def __init__(self, encoding: str, wire_bytes: int, body_bytes: int) -> None:
        if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise PageFault("wrong_type")
        self._packed = encoding not in {"", "identity"}
        self._inflation = zlib.decompressobj(EITHER_HEADER)
        self._wire_left = wire_bytes
        self._left = body_bytes
        self._parts: list[bytes] = []

    def add(self, block: bytes) -> None:
        """Take a block as it was sent.

        Raises:
            PageFault: ``too_large``, ``unreadable``.
        """
        self._wire_left -= len(block)
        part = self._inflated(block) if self._packed else block
        self._left -= len(part)
        if self._wire_left < 0 or self._left < 0:
            raise PageFault("too_large")
        self._parts.append(part)

    def whole(self) -> bytes:
        """Return what came; after ``too_large``, what came before the block that was too much."""
        return b"".join(self._parts)

    def _inflated(self, block: bytes) -> bytes:
        try:
            # One byte more than may be: so a body of exactly the limit passes and a longer one shows.
            return self._inflation.decompress(block, self._left + 1)
        except zlib.error as error:
            raise PageFault("unreadable") from error
