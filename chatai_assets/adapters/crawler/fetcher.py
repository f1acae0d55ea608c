"""A link -> the answer at the end of its redirects: each hop checked, allowed by its site, in its host's turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx

from chatai_assets.adapters.crawler import robots
from chatai_assets.adapters.crawler.exchange import WebResponse, send_request
from chatai_assets.adapters.crawler.limits import CrawlLimits, FetchError
from chatai_assets.adapters.crawler.robots import RobotsCache, RobotsRules, parse_robots, rules_after_error
from chatai_assets.adapters.crawler.ssrf import effective_port, validate_url
from chatai_assets.adapters.crawler.throttle import HostThrottle
from chatai_assets.adapters.crawler.transport import NetworkPolicy, WebTransport, new_resolvers

PAGES = frozenset({"text/html", "application/xhtml+xml", "text/plain"})

T = TypeVar("T")


@dataclass(slots=True)
class _TimeBudget:
    """Seconds that the exchanges of one link may still take."""

    left_s: float


class Fetcher:
    """Reads from the web of a world; used from one event loop.

    Args:
        types: media types of which bodies are read; None reads any.
        rules: what is known of sites already.
    """

    def __init__(
        self,
        world: NetworkPolicy,
        limits: CrawlLimits,
        types: frozenset[str] | None = PAGES,
        rules: RobotsCache | None = None,
    ) -> None:
        self._world = world
        self._limits = limits
        self._resolvers = new_resolvers()
        self._turns = HostThrottle()
        self._room = asyncio.Semaphore(limits.answers)
        self._types = types
        self._rules = rules or RobotsCache()

    def close(self) -> None:
        """Let go of all threads; names still being resolved are not waited for."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, link: str, headers: Mapping[str, str], use: Callable[[WebResponse], Awaitable[T]]) -> T:
        """Return what ``use`` makes of the answer a link leads to; no room is given to others before it is done.

        Raises:
            PageFault: no answer can be had.
        """
        url = validate_url(link, self._world.ports)
        patience = _TimeBudget(self._limits.page_s)
        for _ in range(self._limits.max_redirects + 1):
            rules = await self._rules_of(url)
            rules.check(str(url))
            async with self._turns.slot(url.host, self._gap_s(rules)), self._room:
                answer = await self._within(patience, self._asked(url, headers))
                if answer.location is None:
                    return await use(answer)
            url = self._next(url, answer)
        raise FetchError("too_many_hops")

    async def _rules_of(self, url: httpx.URL) -> RobotsRules:
        site = f"{url.scheme}://{url.raw_host.decode()}:{effective_port(url)}"
        known = self._rules.get(site)
        if known is None:
            async with self._turns.slot(f"robots of {site}", 0.0):  # whoever waited finds what the first one learnt
                known = self._rules.get(site)
                if known is None:
                    known = await self._asked_rules(url.copy_with(raw_path=b"/robots.txt"))
                    self._rules.keep(site, known)
        return known

    async def _asked_rules(self, url: httpx.URL) -> RobotsRules:
        patience = _TimeBudget(self._limits.page_s)
        try:
            for _ in range(self._limits.max_redirects + 1):
                async with self._turns.slot(url.host, 0.0), self._room:
                    answer = await self._within(patience, self._asked_robots(url))
                if answer.location is None:
                    return parse_robots(answer)
                url = self._next(url, answer)
        except FetchError as fault:
            return rules_after_error(fault.code)
        return rules_after_error("too_many_hops")

    async def _asked(self, url: httpx.URL, headers: Mapping[str, str]) -> WebResponse:
        async with WebTransport(self._world, self._resolvers) as transport:
            return await send_request(transport, url, self._limits, types=self._types, headers=headers)

    async def _asked_robots(self, url: httpx.URL) -> WebResponse:
        async with WebTransport(self._world, self._resolvers) as transport:
            return await send_request(transport, url, self._limits, types=None, cut_at=robots.READ_BYTES)

    def _gap_s(self, rules: RobotsRules) -> float:
        return min(
            max(rules.crawl_delay_s, self._limits.crawl_delay_s),
            max(self._limits.max_crawl_delay_s, self._limits.crawl_delay_s),
        )

    def _next(self, url: httpx.URL, answer: WebResponse) -> httpx.URL:
        try:
            return validate_url(str(url.join(answer.location or "")), self._world.ports)
        except (httpx.InvalidURL, ValueError) as error:
            raise FetchError("bad_address") from error

    async def _within(self, patience: _TimeBudget, work: Awaitable[T]) -> T:
        started = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, patience.left_s)):
                return await work
        except TimeoutError as error:
            raise FetchError("too_slow") from error
        finally:
            patience.left_s -= time.monotonic() - started
