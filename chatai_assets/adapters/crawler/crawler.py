"""Links -> pages. The one function to the web; whatever reads pages another way stands behind it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from chatai_assets.adapters.crawler.browser.limits import BrowserLimits
from chatai_assets.adapters.crawler.browser.renderer import Renderer
from chatai_assets.adapters.crawler.exchange import WebResponse
from chatai_assets.adapters.crawler.fetcher import Fetcher
from chatai_assets.adapters.crawler.limits import CrawlLimits, FetchError
from chatai_assets.adapters.crawler.robots import RobotsCache
from chatai_assets.adapters.crawler.transport import NetworkPolicy
from chatai_assets.adapters.models.provider import BackgroundLoop
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import Outage, TransientError, UnreadableDocument
from chatai_assets.domain.web_pages import WebLink, WebPage
from chatai_assets.observability import PAGE_UNFORESEEN, log

GONE = range(400, 500)
LONGEST_VALIDATOR = 256


class Crawler:
    """Linked pages, fetched from the public web and read in the parser sandbox; implements ``port.PageReader``.

    Args:
        parser: whose children take the text out of a page; belongs to the caller.
        browser: what showing pages in a browser may cost, before they are read; None where none is shown.
    """

    def __init__(
        self,
        parser: ParserPool,
        limits: CrawlLimits | None = None,
        world: NetworkPolicy | None = None,
        browser: BrowserLimits | None = None,
    ) -> None:
        self._parser = parser
        self._limits = limits or CrawlLimits()
        self._loop = BackgroundLoop()
        self._fetching, self._showing = self._loop.run(_open(world or NetworkPolicy(), self._limits, browser))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._showing:
            self._loop.run(self._showing.close())
        self._fetching.close()
        self._loop.__exit__(kind, error, trace)

    def read(self, links: Sequence[WebLink]) -> list[WebPage]:
        """Return what came of each link, in order.

        Raises:
            Outage: no parser child can be started.
        """
        return self._loop.run(self._read_all(links))

    async def _read_all(self, links: Sequence[WebLink]) -> list[WebPage]:
        return await asyncio.gather(*map(self._read, links))

    async def _read(self, link: WebLink) -> WebPage:
        validators = {"If-None-Match": link.etag, "If-Modified-Since": link.modified}
        sent = {name: value for name, value in validators.items() if value}
        try:
            async with asyncio.timeout(self._limits.link_s):
                return await self._fetching.fetch(link.url, sent, lambda answer: self._page(link, answer))
        except TimeoutError:
            return WebPage(link.url, "not_asked")
        except FetchError as fault:
            return WebPage(link.url, fault.code)
        except Outage:
            raise
        except Exception as error:  # noqa: BLE001 (hostile answers make libraries raise anything; one page must not stop all)
            log.warning(PAGE_UNFORESEEN, error_class=type(error).__name__)
            return WebPage(link.url, "unreadable")

    async def _page(self, link: WebLink, answer: WebResponse) -> WebPage:
        if answer.status == 304 and (link.etag or link.modified):
            return WebPage(link.url, unchanged=True, etag=link.etag, modified=link.modified)
        if answer.status == 429 or answer.status >= 500:
            raise FetchError("unavailable")
        if answer.status in GONE:
            raise FetchError("gone")
        read = await self._said(answer)
        return WebPage(
            link.url,
            text=read.text[: self._limits.text_chars],
            title=read.title,
            etag=_validator(answer, "ETag"),
            modified=_validator(answer, "Last-Modified"),
        )

    async def _said(self, answer: WebResponse) -> ParsedDocument:
        """Return what a page says when it is shown, or, where that fails or says nothing, as it was fetched."""
        shown = await self._showing.shown(answer) if self._showing and answer.body else None
        if shown:
            with suppress(FetchError):
                return await asyncio.to_thread(self._parsed, shown)
        return await asyncio.to_thread(self._parsed, answer)

    def _parsed(self, answer: WebResponse) -> ParsedDocument:
        """Return what a body says.

        Raises:
            PageFault: ``no_text``, ``unreadable``.
        """
        if not answer.body:
            raise FetchError("no_text")
        with tempfile.TemporaryDirectory(prefix="chatai-page-") as folder:
            path = Path(folder) / "page"
            path.write_bytes(answer.body)
            try:
                return self._parser.parse(path, "page.txt", None if answer.media_type == "text/plain" else "page")
            except UnreadableDocument as fault:
                raise FetchError("no_text" if fault.reason == "no_text" else "unreadable") from fault
            except TransientError as error:
                raise FetchError("unreadable") from error


def _validator(answer: WebResponse, name: str) -> str | None:
    """Return a validator that can be sent back; a longer or stranger one is the site's loss."""
    value = answer.headers.get(name)
    return value if value and value.isascii() and value.isprintable() and len(value) <= LONGEST_VALIDATOR else None


async def _open(
    world: NetworkPolicy, limits: CrawlLimits, browser: BrowserLimits | None
) -> tuple[Fetcher, Renderer | None]:
    rules = RobotsCache()
    return Fetcher(world, limits, rules=rules), Renderer(world, limits, browser, rules) if browser else None
