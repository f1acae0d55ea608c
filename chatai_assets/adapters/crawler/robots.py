"""What sites ask programs not to read (RFC 9309)."""

from __future__ import annotations

import time
from dataclasses import dataclass

from protego import Protego

from chatai_assets.adapters.crawler.exchange import AGENT, WebResponse
from chatai_assets.adapters.crawler.limits import FetchError

MAX_AGE_S = 24 * 3_600.0
ERROR_MAX_AGE_S = 600.0
READ_BYTES = 512 << 10
"""How much of a robots.txt is read; RFC 9309 wants 500 KiB at least."""
MAX_SITES = 1_000


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """What one site allows.

    Attributes:
        wishes: its robots.txt; None where it has none, and everything is allowed.
        fault: why it could not be asked; then nothing is allowed.
        until: monotonic second after which it is asked again.
    """

    policy: Protego | None
    fault: str | None
    until: float

    def check(self, url: str) -> None:
        """Raise ``FetchError`` if the site does not let us read a page: ``robots``, or why it could not be asked."""
        if self.fault:
            raise FetchError(self.fault)
        if self.policy is not None and not self.policy.can_fetch(url, AGENT):
            raise FetchError("robots")

    @property
    def crawl_delay_s(self) -> float:
        """Seconds the site wants between two requests; 0 where it does not say."""
        delay = self.policy.crawl_delay(AGENT) if self.policy is not None else None
        return float(delay or 0.0)


def parse_robots(answer: WebResponse) -> RobotsRules:
    """Return the rules of a site by its answer: without a robots.txt all is allowed, in trouble nothing."""
    now = time.monotonic()
    if answer.status == 429 or answer.status >= 500:
        return RobotsRules(None, "unavailable", now + ERROR_MAX_AGE_S)
    if answer.status != 200:
        return RobotsRules(None, None, now + MAX_AGE_S)
    return RobotsRules(Protego.parse(answer.body.decode("utf-8", "replace")), None, now + MAX_AGE_S)


def rules_after_error(fault: str) -> RobotsRules:
    """Return the rules of a site whose robots.txt could not be had; one that leads in circles is as good as none."""
    now = time.monotonic()
    return RobotsRules(None, None if fault in {"too_many_hops", "unreadable"} else fault, now + ERROR_MAX_AGE_S)


class RobotsCache:
    """The rules of the sites asked last."""

    def __init__(self) -> None:
        self._rules: dict[str, RobotsRules] = {}

    def get(self, site: str) -> RobotsRules | None:
        """Return the rules of a site, None where it must be asked."""
        rules = self._rules.get(site)
        return rules if rules and rules.until > time.monotonic() else None

    def keep(self, site: str, rules: RobotsRules) -> None:
        """Remember the rules of a site, and forget the site remembered longest if there are too many."""
        self._rules.pop(site, None)
        self._rules[site] = rules
        if len(self._rules) > MAX_SITES:
            del self._rules[next(iter(self._rules))]
