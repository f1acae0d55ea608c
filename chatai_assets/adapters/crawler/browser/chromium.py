"""Pages in Chromium, by way of crawl4ai: the only module that imports it, and only the browser child imports this one.

Nothing that a page asks for goes to the network from here. The page itself is what was fetched; scripts and data are
asked for over ``ask``; all else is refused. What could get around that (a worker of a kind to come, a prefetch) meets a
proxy that no name server knows, in a process without network.
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

DATA = frozenset({"script", "xhr", "fetch"})
"""Kinds of requests that are passed on: what text is made of. Styles are answered with nothing, since scripts wait for
them; images, fonts, media, frames and other pages are refused."""
PASSED_ON = ("accept", "origin", "x-requested-with")
ONLINE = "Object.defineProperty(Navigator.prototype, 'onLine', {get: () => true})"

Ask = Callable[[int, str, dict[str, str]], Awaitable[Message]]
"""Page, URL and headers -> the parent's answer."""


class ChromiumRenderer:
    """A browser that shows pages, each in a context of its own: cookies and storage end with it.

    Args:
        program: path of Chromium; None for the one that playwright has installed.
        on_loss: is called when the browser ends by itself: its pages would each wait for their time to end.
    """

    def __init__(self, limits: BrowserLimits, program: str | None, ask: Ask, on_loss: Callable[[], None]) -> None:
        self._limits = limits
        self._on_loss = on_loss
        self._ask = ask
        self._visits: dict[str, PageSession] = {}
        config = BrowserConfig(
            headless=True,
            verbose=False,
            accept_downloads=False,
            ignore_https_errors=False,
            extra_args=list(LAUNCH_ARGUMENTS),
        )
        self._strategy = AsyncPlaywrightCrawlerStrategy(browser_config=config)
        self._strategy.browser_manager = _Manager(config, self._strategy.logger, program)
        self._strategy.set_hook("on_page_context_created", self._opened)
        self._strategy.set_hook("before_retrieve_html", self._settled)

    async def __aenter__(self) -> Self:
        await self._strategy.start()
        self._strategy.browser_manager.browser.on("disconnected", lambda _browser: self._on_loss())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._strategy.browser_manager.browser.remove_all_listeners("disconnected")
        await self._strategy.close()

    async def shown(self, message: Message) -> str | None:
        """Return the page of a message as it is after its scripts have run, as HTML; None if that fails."""
        name = str(message["page"])
        self._visits[name] = PageSession(message, self._ask)
        try:
            async with asyncio.timeout(self._limits.page_s):
                response = await self._strategy.crawl(message["url"], self._config(name))
        except Exception:  # noqa: BLE001 (pages make browsers fail in any way; the parent reads them without)
            return None
        finally:
            del self._visits[name]
            with suppress(BrowserError, TimeoutError):
                async with asyncio.timeout(self._limits.end_s):
                    await self._strategy.browser_manager.kill_session(name)
        html = str(response.html)
        return html if len(html) <= self._limits.html_bytes else None

    def _config(self, name: str) -> CrawlerRunConfig:
        """Return how one page is shown; a proxy by a name of its own makes crawl4ai open a context of its own."""
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

    async def _opened(self, page: Page, context: BrowserContext, config: CrawlerRunConfig, **_: Any) -> None:
        await self._visits[config.session_id].begin(page, context)

    async def _settled(self, page: Page, **_: Any) -> None:
        with suppress(BrowserError):  # whoever never falls silent is read as it is
            await page.wait_for_load_state("networkidle", timeout=self._limits.settle_s * 1_000)


class PageSession:
    """One page that is shown, and its way out of the browser."""

    def __init__(self, message: Message, ask: Ask) -> None:
        self._message = message
        self._ask = ask
        self._page: Page | None = None
        self._is_there = False

    async def begin(self, page: Page, context: BrowserContext) -> None:
        """Stand between a page, or what it opens, and the network."""
        self._page = page
        await context.route("**/*", self._route)
        await context.route_web_socket("**/*", _refuse_socket)
        await context.add_init_script(ONLINE)

    async def _route(self, route: Route) -> None:
        with suppress(BrowserError):  # the page may be gone by now
            request = route.request
            if request.resource_type == "document":
                await self._answer_document(route, request)
            elif request.resource_type == "stylesheet":
                await route.fulfill(content_type="text/css", body="")
            elif request.resource_type in DATA and request.method == "GET":
                await self._pass_on(route, request)
            else:
                await route.abort()

    async def _answer_document(self, route: Route, request: Request) -> None:
        is_first = not self._is_there and self._page is not None and request.frame == self._page.main_frame
        if not is_first:
            await route.abort()
            return
        self._is_there = True
        body = await asyncio.to_thread(to_utf8, b64decode(self._message["body"]))
        await route.fulfill(status=200, content_type="text/html; charset=utf-8", body=body)

    async def _pass_on(self, route: Route, request: Request) -> None:
        sent = {name: value for name, value in request.headers.items() if name in PASSED_ON}
        answer = await self._ask(self._message["page"], request.url, sent)
        if answer.get("refused"):
            await route.abort()
            return
        await route.fulfill(status=answer["status"], headers=answer["headers"], body=b64decode(answer["body"]))


class _Manager(BrowserManager):
    """crawl4ai's browser, with a program that it has no setting for."""

    def __init__(self, config: BrowserConfig, logger: Any, program: str | None) -> None:
        super().__init__(browser_config=config, logger=logger)
        self._program = program

    def _build_browser_args(self) -> dict[str, Any]:
        return {**super()._build_browser_args(), "executable_path": self._program}


def to_utf8(body: bytes) -> bytes:
    """Return a page in UTF-8, its letters as they are found where no browser is asked: Chromium would guess worse."""
    with NamedTemporaryFile() as page:
        page.write(body)
        page.flush()
        codec = detect_html_codec(Path(page.name))
    return body.decode(codec.name, codec.errors).encode("utf-8", "replace")


async def _refuse_socket(socket: WebSocketRoute) -> None:
    await socket.close()
