"""One HTTP request and its response, with limits on bytes; the caller limits the time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from chatai_assets.adapters.crawler.limits import CrawlLimits, FetchError

AGENT = "chatai-assets"
"""Name that robots.txt files know us by."""
USER_AGENT = f"{AGENT}/0.1"
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class WebResponse:
    """Response of a site.

    Attributes:
        url: of the request: the last one if a link was redirected.
        body: decompressed; empty unless ``status`` is 200.
    """

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes = b""

    @property
    def location(self) -> str | None:
        """Target of a redirect; None for any other response."""
        return self.headers.get("Location") if self.status in REDIRECT_STATUSES else None

    @property
    def media_type(self) -> str:
        """The type of the body without parameters, e.g. ``text/html``."""
        return parse_media_type(self.headers)


def parse_media_type(headers: httpx.Headers) -> str:
    """Return the media type of a response, in lower case and without parameters."""
    declared: str = headers.get("Content-Type", "")
    return declared.partition(";")[0].strip().lower()


async def send_request(
    transport: httpx.AsyncBaseTransport,
    url: httpx.URL,
    limits: CrawlLimits,
    *,
    types: frozenset[str] | None,
    headers: Mapping[str, str] | None = None,
    cut_at: int | None = None,
) -> WebResponse:
    """Send one GET request and return the response.

    The transport is used directly: a client would add cookies, credentials and redirects of its own.

    Args:
        transport: that sends the request.
        url: to request.
        limits: timeouts in seconds and sizes in bytes.
        types: media types whose bodies are read; None reads any.
        headers: sent in addition to our own.
        cut_at: bytes after which the rest of a body is not read; None refuses a body that is too large.

    Raises:
        FetchError: ``too_large``, ``wrong_type``, ``unreadable``, ``unreachable``, ``too_slow``, ``forbidden``.
    """
    timeouts = httpx.Timeout(limits.silence_s, connect=limits.connect_s, pool=None).as_dict()
    own_headers = {"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPTED, "Accept": "text/html,text/plain;q=0.8"}
    request = httpx.Request("GET", url, headers={**own_headers, **(headers or {})}, extensions={"timeout": timeouts})
    try:
        response = await transport.handle_async_request(request)
        try:
            body = await _read_body(response, limits, types, cut_at)
        finally:
            await response.aclose()
    except httpx.TimeoutException as error:
        raise FetchError("too_slow") from error
    except (httpx.TransportError, httpx.StreamError) as error:
        raise FetchError("unreachable") from error
    return WebResponse(url, response.status_code, response.headers, body)


async def _read_body(
    response: httpx.Response, limits: CrawlLimits, types: frozenset[str] | None, cut_at: int | None
) -> bytes:
    if response.status_code != 200:
        return b""
    if types is not None and parse_media_type(response.headers) not in types:
        raise FetchError("wrong_type")
    max_bytes = limits.body_bytes if cut_at is None else cut_at
    body = LimitedDecoder(response.headers.get("Content-Encoding", "").strip().lower(), limits.wire_bytes, max_bytes)
    try:
        async for block in response.aiter_raw():
            body.feed(block)
    except FetchError as error:
        if cut_at is None or error.code != "too_large":
            raise
    return body.result()


ACCEPTED = "gzip, deflate"
EITHER_HEADER = 47
"""zlib's ``wbits`` that accepts a gzip or a zlib header."""


class LimitedDecoder:
    """Decodes a body block by block and limits its size.

    Args:
        encoding: the response's ``Content-Encoding``.
        wire_bytes: maximum size as sent.
        body_bytes: maximum size after decompression.

    Raises:
        FetchError: ``wrong_type`` for an encoding that was not requested.
    """

    def __init__(self, encoding: str, wire_bytes: int, body_bytes: int) -> None:
        if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise FetchError("wrong_type")
        self._is_compressed = encoding not in {"", "identity"}
        self._decompressor = zlib.decompressobj(EITHER_HEADER)
        self._wire_left = wire_bytes
        self._left = body_bytes
        self._parts: list[bytes] = []

    def feed(self, block: bytes) -> None:
        """Decode a block as it was sent.

        Raises:
            FetchError: ``too_large``, ``unreadable``.
        """
        self._wire_left -= len(block)
        part = self._decompress(block) if self._is_compressed else block
        self._left -= len(part)
        if self._wire_left < 0 or self._left < 0:
            raise FetchError("too_large")
        self._parts.append(part)

    def result(self) -> bytes:
        """Return the decoded body; after ``too_large``, what came before the block that exceeded the limit."""
        return b"".join(self._parts)

    def _decompress(self, block: bytes) -> bytes:
        try:
            # One byte more than allowed, so that a body of exactly the limit passes and a longer one is noticed.
            return self._decompressor.decompress(block, self._left + 1)
        except zlib.error as error:
            raise FetchError("unreadable") from error
