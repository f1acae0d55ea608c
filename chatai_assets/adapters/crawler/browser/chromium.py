"""Renders pages in Chromium through crawl4ai. Only the browser worker imports this module, and only it crawl4ai.

No request of a page reaches the network from here. The page itself is the fetched body; scripts and data are requested
from the parent through ``ask``; everything else is refused. A request that bypassed this (a new kind of worker, a
prefetch) would meet a proxy that does not resolve, in a process without network.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Any, Self

from crawl4ai import BrowserConfig, CrawlerRunConfig, ProxyConfig
from crawl4ai.async_crawler_strategy import AsyncPlaywrightCrawlerStrategy
from crawl4ai.browser_manager import BrowserManager
from playwright.async_api import BrowserContext, Page, Request, Route, WebSocketRoute
from playwright.async_api import Error as BrowserError

from chatai_assets.adapters.crawler.browser.launch_flags import DEAD_PROXY, LAUNCH_ARGUMENTS
from chatai_assets.adapters.crawler.browser.limits import BrowserLimits
from chatai_assets.adapters.crawler.browser.protocol import Message
from chatai_assets.adapters.parsers.html import detect_html_codec

FORWARDED_TYPES = frozenset({"script", "xhr", "fetch"})
"""Kinds of requests that are forwarded because text depends on them. Stylesheets get an empty response, since scripts
wait for them; images, fonts, media, frames and other pages are refused."""
FORWARDED_HEADERS = ("accept", "origin", "x-requested-with")
ONLINE = "Object.defineProperty(Navigator.prototype, 'onLine', {get: () => true})"

RequestSubresource = Callable[[int, str, dict[str, str]], Awaitable[Message]]
"""Page number, URL and headers -> the parent's response."""


class ChromiumRenderer:
    """A browser that renders pages, each in its own context, so that cookies and storage are not shared.

    Args:
        limits: what rendering may cost.
        program: path of Chromium; None for the one that playwright has installed.
        ask: requests a subresource from the parent.
        on_loss: called when the browser exits by itself; otherwise every page would wait for its timeout.
    """

    def __init__(
        self, limits: BrowserLimits, program: str | None, ask: RequestSubresource, on_loss: Callable[[], None]
    ) -> None:
        self._limits = limits
        self._on_loss = on_loss
        self._ask = ask
        self._sessions: dict[str, PageSession] = {}
        config = BrowserConfig(
            headless=True,
            verbose=False,
            accept_downloads=False,
            ignore_https_errors=False,
            extra_args=list(LAUNCH_ARGUMENTS),
        )
        self._strategy = AsyncPlaywrightCrawlerStrategy(browser_config=config)
        self._strategy.browser_manager = _Manager(config, self._strategy.logger, program)
        self._strategy.set_hook("on_page_context_created", self._on_context_created)
        self._strategy.set_hook("before_retrieve_html", self._on_before_retrieve_html)

    async def __aenter__(self) -> Self:
        await self._strategy.start()
        self._strategy.browser_manager.browser.on("disconnected", lambda _browser: self._on_loss())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._strategy.browser_manager.browser.remove_all_listeners("disconnected")
        await self._strategy.close()

    async def render(self, message: Message) -> str | None:
        """Return the HTML of a page after its scripts have run; None if rendering fails."""
        name = str(message["page"])
        self._sessions[name] = PageSession(message, self._ask)
        try:
            async with asyncio.timeout(self._limits.page_s):
                response = await self._strategy.crawl(message["url"], self._config(name))
        except Exception:  # noqa: BLE001 (pages make browsers fail in any way; the parent then uses the fetched body)
            return None
        finally:
            del self._sessions[name]
            with suppress(BrowserError, TimeoutError):
                async with asyncio.timeout(self._limits.end_s):
                    await self._strategy.browser_manager.kill_session(name)
        html = str(response.html)
        return html if len(html) <= self._limits.html_bytes else None

    def _config(self, name: str) -> CrawlerRunConfig:
        """Return the crawl4ai configuration of one page; its own proxy credentials give it its own context."""
        milliseconds = int(self._limits.page_s * 1_000)
        return CrawlerRunConfig(
            session_id=name,
            proxy_config=ProxyConfig(server=DEAD_PROXY, username=name, password=name),
            wait_until="domcontentloaded",
            page_timeout=milliseconds,
            body_visibility_timeout=100,
            delay_before_return_html=0,
            verbose=False,
        )

    async def _on_context_created(
        self, page: Page, context: BrowserContext, config: CrawlerRunConfig, **_: Any
    ) -> None:
        await self._sessions[config.session_id].attach(page, context)

    async def _on_before_retrieve_html(self, page: Page, **_: Any) -> None:
        with suppress(BrowserError):  # a page that never stops requesting is read as it is
            await page.wait_for_load_state("networkidle", timeout=self._limits.settle_s * 1_000)


class PageSession:
    """One page being rendered; handles all its requests."""

    def __init__(self, message: Message, ask: RequestSubresource) -> None:
        self._message = message
        self._ask = ask
        self._page: Page | None = None
        self._is_document_sent = False

    async def attach(self, page: Page, context: BrowserContext) -> None:
        """Intercept all requests of a page and of the pages it opens."""
        self._page = page
        await context.route("**/*", self._route)
        await context.route_web_socket("**/*", _refuse_socket)
        await context.add_init_script(ONLINE)

    async def _route(self, route: Route) -> None:
        with suppress(BrowserError):  # the page may be closed by now
            request = route.request
            if request.resource_type == "document":
                await self._fulfill_document(route, request)
            elif request.resource_type == "stylesheet":
                await route.fulfill(content_type="text/css", body="")
            elif request.resource_type in FORWARDED_TYPES and request.method == "GET":
                await self._forward(route, request)
            else:
                await route.abort()

    async def _fulfill_document(self, route: Route, request: Request) -> None:
        is_first = not self._is_document_sent and self._page is not None and request.frame == self._page.main_frame
        if not is_first:
            await route.abort()
            return
        self._is_document_sent = True
        body = await asyncio.to_thread(to_utf8, b64decode(self._message["body"]))
        await route.fulfill(status=200, content_type="text/html; charset=utf-8", body=body)

    async def _forward(self, route: Route, request: Request) -> None:
        headers = {name: value for name, value in request.headers.items() if name in FORWARDED_HEADERS}
        response = await self._ask(self._message["page"], request.url, headers)
        if response.get("refused"):
            await route.abort()
            return
        await route.fulfill(status=response["status"], headers=response["headers"], body=b64decode(response["body"]))


class _Manager(BrowserManager):
    """crawl4ai's browser with a given executable, for which it has no setting."""

    def __init__(self, config: BrowserConfig, logger: Any, program: str | None) -> None:
        super().__init__(browser_config=config, logger=logger)
        self._program = program

    def _build_browser_args(self) -> dict[str, Any]:
        return {**super()._build_browser_args(), "executable_path": self._program}


def to_utf8(body: bytes) -> bytes:
    """Return a page in UTF-8, decoded as the HTML parser would: Chromium guesses encodings less well."""
    with NamedTemporaryFile() as page:
        page.write(body)
        page.flush()
        codec = detect_html_codec(Path(page.name))
    return body.decode(codec.name, codec.errors).encode("utf-8", "replace")


async def _refuse_socket(socket: WebSocketRoute) -> None:
    await socket.close()
