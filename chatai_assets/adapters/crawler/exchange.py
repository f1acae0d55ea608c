"""One request and its answer, within the limits of bytes; the caller bounds its time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from chatai_assets.adapters.crawler.limits import CrawlLimits, FetchError

AGENT = "chatai-assets"
"""By this name robots.txt knows us."""
USER_AGENT = f"{AGENT}/0.1"
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class WebResponse:
    """What a site said.

    Attributes:
        url: that was asked for: the last one, where a link was redirected.
        body: unpacked; empty unless ``status`` is 200.
    """

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes = b""

    @property
    def location(self) -> str | None:
        """Where a redirect leads; None for any other answer."""
        return self.headers.get("Location") if self.status in REDIRECT_STATUSES else None

    @property
    def media_type(self) -> str:
        """The type of the body without parameters, e.g. ``text/html``."""
        return parse_media_type(self.headers)


def parse_media_type(headers: httpx.Headers) -> str:
    """Return the media type of an answer, in lower case, without parameters."""
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
    """Return a site's answer to one GET.

    The transport is asked directly: a client would add cookies, credentials and redirects of its own.

    Args:
        types: media types whose bodies are read; None reads any.
        cut_at: bytes after which the rest of a body is left unread, instead of refusing it whole.

    Raises:
        PageFault: ``too_large``, ``wrong_type``, ``unreadable``, ``unreachable``, ``too_slow``, ``forbidden``.
    """
    waits = httpx.Timeout(limits.silence_s, connect=limits.connect_s, pool=None).as_dict()
    asked = {"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPTED, "Accept": "text/html,text/plain;q=0.8"}
    request = httpx.Request("GET", url, headers={**asked, **(headers or {})}, extensions={"timeout": waits})
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
    most = limits.body_bytes if cut_at is None else cut_at
    body = LimitedDecoder(response.headers.get("Content-Encoding", "").strip().lower(), limits.wire_bytes, most)
    try:
        async for block in response.aiter_raw():
            body.add(block)
    except FetchError as fault:
        if cut_at is None or fault.code != "too_large":
            raise
    return body.whole()


ACCEPTED = "gzip, deflate"
EITHER_HEADER = 47
"""zlib's ``wbits`` for a gzip or a zlib header, whichever is there."""


class LimitedDecoder:
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
            raise FetchError("wrong_type")
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
            raise FetchError("too_large")
        self._parts.append(part)

    def whole(self) -> bytes:
        """Return what came; after ``too_large``, what came before the block that was too much."""
        return b"".join(self._parts)

    def _inflated(self, block: bytes) -> bytes:
        try:
            # One byte more than may be: so a body of exactly the limit passes and a longer one shows.
            return self._inflation.decompress(block, self._left + 1)
        except zlib.error as error:
            raise FetchError("unreadable") from error
