"""Fetches a link and follows its redirects; every URL is validated, allowed by robots.txt and throttled by host."""

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

PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml", "text/plain"})

T = TypeVar("T")


@dataclass(slots=True)
class _TimeBudget:
    """Seconds that the requests of one link may still take."""

    left_s: float


class Fetcher:
    """Fetches pages from the web; used from one event loop.

    Args:
        policy: which addresses may be connected to.
        limits: what fetching may cost.
        types: media types whose bodies are read; None reads any.
        rules: cache of robots.txt rules, to share between fetchers.
    """

    def __init__(
        self,
        policy: NetworkPolicy,
        limits: CrawlLimits,
        types: frozenset[str] | None = PAGE_TYPES,
        rules: RobotsCache | None = None,
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._resolvers = new_resolvers()
        self._throttle = HostThrottle()
        self._slots = asyncio.Semaphore(limits.answers)
        self._types = types
        self._rules = rules or RobotsCache()

    def close(self) -> None:
        """Shut down the resolver threads without waiting for pending look-ups."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, link: str, headers: Mapping[str, str], use: Callable[[WebResponse], Awaitable[T]]) -> T:
        """Fetch a link and return the result of ``use``, which runs while the request still holds its slot.

        Args:
            link: URL to fetch.
            headers: sent with every request.
            use: converts the final response.

        Raises:
            FetchError: the page cannot be fetched.
        """
        url = validate_url(link, self._policy.ports)
        budget = _TimeBudget(self._limits.page_s)
        for _ in range(self._limits.max_redirects + 1):
            rules = await self._find_rules(url)
            rules.check(str(url))
            async with self._throttle.slot(url.host, self._delay_s(rules)), self._slots:
                response = await self._limit_time(budget, self._request_page(url, headers))
                if response.location is None:
                    return await use(response)
            url = self._redirect_target(url, response)
        raise FetchError("too_many_hops")

    async def _find_rules(self, url: httpx.URL) -> RobotsRules:
        site = f"{url.scheme}://{url.raw_host.decode()}:{effective_port(url)}"
        rules = self._rules.get(site)
        if rules is None:
            async with self._throttle.slot(f"robots of {site}", 0.0):  # others wait, then find it cached
                rules = self._rules.get(site)
                if rules is None:
                    rules = await self._fetch_rules(url.copy_with(raw_path=b"/robots.txt"))
                    self._rules.put(site, rules)
        return rules

    async def _fetch_rules(self, url: httpx.URL) -> RobotsRules:
        budget = _TimeBudget(self._limits.page_s)
        try:
            for _ in range(self._limits.max_redirects + 1):
                async with self._throttle.slot(url.host, 0.0), self._slots:
                    response = await self._limit_time(budget, self._request_robots(url))
                if response.location is None:
                    return parse_robots(response)
                url = self._redirect_target(url, response)
        except FetchError as error:
            return rules_after_error(error.code)
        return rules_after_error("too_many_hops")

    async def _request_page(self, url: httpx.URL, headers: Mapping[str, str]) -> WebResponse:
        async with WebTransport(self._policy, self._resolvers) as transport:
            return await send_request(transport, url, self._limits, types=self._types, headers=headers)

    async def _request_robots(self, url: httpx.URL) -> WebResponse:
        async with WebTransport(self._policy, self._resolvers) as transport:
            return await send_request(transport, url, self._limits, types=None, cut_at=robots.READ_BYTES)

    def _delay_s(self, rules: RobotsRules) -> float:
        return min(
            max(rules.crawl_delay_s, self._limits.crawl_delay_s),
            max(self._limits.max_crawl_delay_s, self._limits.crawl_delay_s),
        )

    def _redirect_target(self, url: httpx.URL, response: WebResponse) -> httpx.URL:
        try:
            return validate_url(str(url.join(response.location or "")), self._policy.ports)
        except (httpx.InvalidURL, ValueError) as error:
            raise FetchError("bad_address") from error

    async def _limit_time(self, budget: _TimeBudget, work: Awaitable[T]) -> T:
        started = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, budget.left_s)):
                return await work
        except TimeoutError as error:
            raise FetchError("too_slow") from error
        finally:
            budget.left_s -= time.monotonic() - started
