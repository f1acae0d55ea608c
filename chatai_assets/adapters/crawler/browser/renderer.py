"""Renders fetched pages in a browser, fetching what their scripts request.

A page is not fetched again: the browser gets the body. Requests of scripts follow the rules of all pages: validated
addresses, redirects, robots.txt and one request at a time to each host, but without a delay in between. Only GET
requests are sent, without cookies.
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
"""Prefixes of the response headers that a page gets for its requests; cookies are not among them."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
REFUSED: Message = {"refused": True}


class Renderer:
    """A browser that starts with the first page and restarts after a crash; used from one event loop.

    Args:
        policy: which addresses may be connected to.
        limits: of fetching one page.
        browser: limits of rendering.
        rules: cache of robots.txt rules.
    """

    def __init__(self, policy: NetworkPolicy, limits: CrawlLimits, browser: BrowserLimits, rules: RobotsCache) -> None:
        self._limits = browser
        subresource_limits = replace(
            limits,
            body_bytes=browser.subresource_bytes,
            page_s=min(limits.page_s, browser.page_s),
            crawl_delay_s=0.0,
            max_crawl_delay_s=0.0,
        )
        self._fetcher = Fetcher(policy, subresource_limits, types=None, rules=rules)
        self._slots = asyncio.Semaphore(browser.pages)
        self._starting = asyncio.Lock()
        self._process: BrowserProcess | None = None
        self._blocked_until = 0.0

    async def close(self) -> None:
        """End the browser and close all connections."""
        if self._process:
            await self._process.end()
        self._fetcher.close()

    async def render(self, response: WebResponse) -> WebResponse | None:
        """Return a page with its HTML after its scripts have run; None if it cannot be rendered."""
        if response.media_type not in RENDERABLE:
            return None
        try:
            async with self._slots:
                process = await self._get_process()
                html = await process.render(response, _SubresourceFetcher(self._fetcher, self._limits).fetch)
        except RenderError as reason:
            log.warning(PAGE_NOT_SHOWN, reason=str(reason))
            return None
        # The HTML is UTF-8 now, whatever charset the page declares; a byte order mark overrides declarations.
        return replace(response, body=BYTE_ORDER_MARK + html.encode("utf-8", "replace"))

    async def _get_process(self) -> BrowserProcess:
        async with self._starting:
            if self._process and self._process.is_alive:
                return self._process
            if self._process:
                await self._process.end()
            if time.monotonic() < self._blocked_until:
                raise RenderError("the browser did not start a moment ago")
            self._process, self._blocked_until = None, time.monotonic() + self._limits.rest_s
            self._process = await BrowserProcess.start(self._limits)
            self._blocked_until = 0.0
            return self._process


class _SubresourceFetcher:
    """Fetches the subresources of one page, within its limits."""

    def __init__(self, fetcher: Fetcher, limits: BrowserLimits) -> None:
        self._fetcher = fetcher
        self._requests_left = limits.subresources
        self._bytes_left = limits.subresources_bytes

    async def fetch(self, url: str, headers: Mapping[str, str]) -> Message:
        """Return the response message for one request."""
        self._requests_left -= 1
        if self._requests_left < 0 or self._bytes_left < 0:
            return REFUSED
        try:
            response = await self._fetcher.fetch(url, headers, _return_response)
        except FetchError:
            return REFUSED
        except Exception as error:  # noqa: BLE001 (as for pages: hostile answers make libraries raise anything)
            log.warning(PAGE_UNFORESEEN, error_class=type(error).__name__)
            return REFUSED
        self._bytes_left -= len(response.body)
        forwarded = {
            name: value for name, value in response.headers.items() if name.lower().startswith(FORWARDED_HEADERS)
        }
        body = b64encode(response.body).decode("ascii")
        return REFUSED if self._bytes_left < 0 else {"status": response.status, "headers": forwarded, "body": body}


async def _return_response(response: WebResponse) -> WebResponse:
    return response
