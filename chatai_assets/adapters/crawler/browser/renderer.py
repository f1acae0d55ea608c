"""Pages that were fetched -> pages as a browser shows them, with what their scripts ask for.

A page is not asked for again: the browser is given what came. What its scripts ask for goes the way of all pages:
addresses, redirects, robots.txt and one request at a time to each host, but without a pause between them. Only GET is
sent, without cookies.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace

from chatai_assets.adapters.crawler.browser.limits import BrowserLimits, RenderError
from chatai_assets.adapters.crawler.browser.process import BrowserProcess
from chatai_assets.adapters.crawler.browser.protocol import Message
from chatai_assets.adapters.crawler.exchange import WebResponse
from chatai_assets.adapters.crawler.fetcher import Fetcher
from chatai_assets.adapters.crawler.limits import CrawlLimits, FetchError
from chatai_assets.adapters.crawler.robots import RobotsCache
from chatai_assets.adapters.crawler.transport import NetworkPolicy
from chatai_assets.observability import PAGE_NOT_SHOWN, PAGE_UNFORESEEN, log

RENDERABLE = frozenset({"text/html", "application/xhtml+xml"})
FORWARDED_HEADERS = ("content-type", "access-control-")
"""Beginnings of the headers that a page learns of what it asks for; cookies are none of them."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
REFUSED: Message = {"refused": True}


class Renderer:
    """A browser that starts with the first page, and again after it died; used from one event loop.

    Args:
        limits: of fetching one page.
        rules: what is known of sites already.
    """

    def __init__(self, world: NetworkPolicy, limits: CrawlLimits, browser: BrowserLimits, rules: RobotsCache) -> None:
        self._limits = browser
        of_parts = replace(
            limits,
            body_bytes=browser.subresource_bytes,
            page_s=min(limits.page_s, browser.page_s),
            crawl_delay_s=0.0,
            max_crawl_delay_s=0.0,
        )
        self._fetching = Fetcher(world, of_parts, types=None, rules=rules)
        self._room = asyncio.Semaphore(browser.pages)
        self._starting = asyncio.Lock()
        self._process: BrowserProcess | None = None
        self._resting_until = 0.0

    async def close(self) -> None:
        """End the browser and close all connections."""
        if self._process:
            await self._process.end()
        self._fetching.close()

    async def shown(self, answer: WebResponse) -> WebResponse | None:
        """Return a page with the HTML that its scripts have made of it; None if it cannot be shown."""
        if answer.media_type not in RENDERABLE:
            return None
        try:
            async with self._room:
                process = await self._running()
                html = await process.show(answer, _SubresourceFetcher(self._fetching, self._limits).part)
        except RenderError as reason:
            log.warning(PAGE_NOT_SHOWN, reason=str(reason))
            return None
        # Whatever the page declares its letters to be: they are UTF-8 now, and a mark goes before declarations.
        return replace(answer, body=BYTE_ORDER_MARK + html.encode("utf-8", "replace"))

    async def _running(self) -> BrowserProcess:
        async with self._starting:
            if self._process and self._process.is_alive:
                return self._process
            if self._process:
                await self._process.end()
            if time.monotonic() < self._resting_until:
                raise RenderError("the browser did not start a moment ago")
            self._process, self._resting_until = None, time.monotonic() + self._limits.rest_s
            self._process = await BrowserProcess.start(self._limits)
            self._resting_until = 0.0
            return self._process


class _SubresourceFetcher:
    """What one page asks for, within its limits."""

    def __init__(self, fetching: Fetcher, limits: BrowserLimits) -> None:
        self._fetching = fetching
        self._parts_left = limits.subresources
        self._bytes_left = limits.subresources_bytes

    async def part(self, url: str, headers: Mapping[str, str]) -> Message:
        """Return what to answer."""
        self._parts_left -= 1
        if self._parts_left < 0 or self._bytes_left < 0:
            return REFUSED
        try:
            answer = await self._fetching.fetch(url, headers, _return_response)
        except FetchError:
            return REFUSED
        except Exception as error:  # noqa: BLE001 (as for pages: hostile answers make libraries raise anything)
            log.warning(PAGE_UNFORESEEN, error_class=type(error).__name__)
            return REFUSED
        self._bytes_left -= len(answer.body)
        told = {name: value for name, value in answer.headers.items() if name.lower().startswith(FORWARDED_HEADERS)}
        body = b64encode(answer.body).decode("ascii")
        return REFUSED if self._bytes_left < 0 else {"status": answer.status, "headers": told, "body": body}


async def _return_response(answer: WebResponse) -> WebResponse:
    return answer
