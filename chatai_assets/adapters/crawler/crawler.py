"""Crawler: fetches linked pages, renders them in a browser if asked to, and extracts their text."""

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

GONE_STATUSES = range(400, 500)
MAX_VALIDATOR_CHARS = 256


class Crawler:
    """Fetches linked pages from the public web and parses them in the sandbox; implements ``base.PageReader``.

    Args:
        parser: pool whose workers extract the text; owned by the caller.
        limits: what fetching may cost.
        policy: which addresses may be connected to.
        browser: limits of rendering pages in a browser before they are parsed; None to render none.
    """

    def __init__(
        self,
        parser: ParserPool,
        limits: CrawlLimits | None = None,
        policy: NetworkPolicy | None = None,
        browser: BrowserLimits | None = None,
    ) -> None:
        self._parser = parser
        self._limits = limits or CrawlLimits()
        self._loop = BackgroundLoop()
        self._fetcher, self._renderer = self._loop.run(_open(policy or NetworkPolicy(), self._limits, browser))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renderer:
            self._loop.run(self._renderer.close())
        self._fetcher.close()
        self._loop.__exit__(kind, error, trace)

    def read(self, links: Sequence[WebLink]) -> list[WebPage]:
        """Return the page of each link, in order.

        Raises:
            Outage: no parser worker can be started.
        """
        return self._loop.run(self._read_all(links))

    async def _read_all(self, links: Sequence[WebLink]) -> list[WebPage]:
        return await asyncio.gather(*map(self._read, links))

    async def _read(self, link: WebLink) -> WebPage:
        validators = {"If-None-Match": link.etag, "If-Modified-Since": link.modified}
        headers = {name: value for name, value in validators.items() if value}
        try:
            async with asyncio.timeout(self._limits.link_s):
                return await self._fetcher.fetch(link.url, headers, lambda response: self._to_page(link, response))
        except TimeoutError:
            return WebPage(link.url, "not_asked")
        except FetchError as error:
            return WebPage(link.url, error.code)
        except Outage:
            raise
        except Exception as error:  # noqa: BLE001 (hostile answers make libraries raise anything; one page must not stop all)
            log.warning(PAGE_UNFORESEEN, error_class=type(error).__name__)
            return WebPage(link.url, "unreadable")

    async def _to_page(self, link: WebLink, response: WebResponse) -> WebPage:
        if response.status == 304 and (link.etag or link.modified):
            return WebPage(link.url, unchanged=True, etag=link.etag, modified=link.modified)
        if response.status == 429 or response.status >= 500:
            raise FetchError("unavailable")
        if response.status in GONE_STATUSES:
            raise FetchError("gone")
        document = await self._render_and_parse(response)
        return WebPage(
            link.url,
            text=document.text[: self._limits.text_chars],
            title=document.title,
            etag=_validator(response, "ETag"),
            modified=_validator(response, "Last-Modified"),
        )

    async def _render_and_parse(self, response: WebResponse) -> ParsedDocument:
        """Return the rendered page; if rendering fails or gives no text, the page as it was fetched."""
        rendered = await self._renderer.render(response) if self._renderer and response.body else None
        if rendered:
            with suppress(FetchError):
                return await asyncio.to_thread(self._parse, rendered)
        return await asyncio.to_thread(self._parse, response)

    def _parse(self, response: WebResponse) -> ParsedDocument:
        """Return the text of a response's body.

        Raises:
            FetchError: ``no_text``, ``unreadable``.
        """
        if not response.body:
            raise FetchError("no_text")
        with tempfile.TemporaryDirectory(prefix="chatai-page-") as folder:
            path = Path(folder) / "page"
            path.write_bytes(response.body)
            try:
                return self._parser.parse(path, "page.txt", None if response.media_type == "text/plain" else "page")
            except UnreadableDocument as error:
                raise FetchError("no_text" if error.reason == "no_text" else "unreadable") from error
            except TransientError as error:
                raise FetchError("unreadable") from error


def _validator(response: WebResponse, name: str) -> str | None:
    """Return a validator that can be sent back; None if it is too long or not printable ASCII."""
    value = response.headers.get(name)
    return value if value and value.isascii() and value.isprintable() and len(value) <= MAX_VALIDATOR_CHARS else None


async def _open(
    policy: NetworkPolicy, limits: CrawlLimits, browser: BrowserLimits | None
) -> tuple[Fetcher, Renderer | None]:
    rules = RobotsCache()
    return Fetcher(policy, limits, rules=rules), Renderer(policy, limits, browser, rules) if browser else None
