"""Rules of robots.txt (RFC 9309), with a cache by site."""

from __future__ import annotations

import time
from dataclasses import dataclass

from protego import Protego

from chatai_assets.adapters.crawler.exchange import AGENT, WebResponse
from chatai_assets.adapters.crawler.limits import FetchError

MAX_AGE_S = 24 * 3_600.0
ERROR_MAX_AGE_S = 600.0
READ_BYTES = 512 << 10
"""Bytes of a robots.txt that are read; RFC 9309 requires at least 500 KiB."""
MAX_SITES = 1_000


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """Crawling rules of one site.

    Attributes:
        policy: its robots.txt; None if it has none, which allows everything.
        error_code: why robots.txt could not be fetched; then nothing is allowed.
        until: monotonic time in seconds after which it is fetched again.
    """

    policy: Protego | None
    error_code: str | None
    until: float

    def check(self, url: str) -> None:
        """Raise ``FetchError`` if the site does not allow a page: ``robots``, or the error of its robots.txt."""
        if self.error_code:
            raise FetchError(self.error_code)
        if self.policy is not None and not self.policy.can_fetch(url, AGENT):
            raise FetchError("robots")

    @property
    def crawl_delay_s(self) -> float:
        """Seconds that the site wants between two requests; 0 if it does not say."""
        delay = self.policy.crawl_delay(AGENT) if self.policy is not None else None
        return float(delay or 0.0)


def parse_robots(response: WebResponse) -> RobotsRules:
    """Return the rules in a response: without a robots.txt everything is allowed, on a server error nothing."""
    now = time.monotonic()
    if response.status == 429 or response.status >= 500:
        return RobotsRules(None, "unavailable", now + ERROR_MAX_AGE_S)
    if response.status != 200:
        return RobotsRules(None, None, now + MAX_AGE_S)
    return RobotsRules(Protego.parse(response.body.decode("utf-8", "replace")), None, now + MAX_AGE_S)


def rules_after_error(code: str) -> RobotsRules:
    """Return the rules of a site whose robots.txt could not be fetched; a redirect loop counts as no robots.txt."""
    now = time.monotonic()
    return RobotsRules(None, None if code in {"too_many_hops", "unreadable"} else code, now + ERROR_MAX_AGE_S)


class RobotsCache:
    """Cache of the rules of the most recently used sites."""

    def __init__(self) -> None:
        self._rules: dict[str, RobotsRules] = {}

    def get(self, site: str) -> RobotsRules | None:
        """Return the rules of a site; None if they must be fetched."""
        rules = self._rules.get(site)
        return rules if rules and rules.until > time.monotonic() else None

    def put(self, site: str, rules: RobotsRules) -> None:
        """Store the rules of a site; evict the oldest site if there are too many."""
        self._rules.pop(site, None)
        self._rules[site] = rules
        if len(self._rules) > MAX_SITES:
            del self._rules[next(iter(self._rules))]
