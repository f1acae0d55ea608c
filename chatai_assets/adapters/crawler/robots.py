"""What sites ask programs not to read (RFC 9309)."""

from __future__ import annotations

import time
from dataclasses import dataclass

from protego import Protego

from chatai_assets.adapters.crawler.exchange import AGENT, Answer
from chatai_assets.adapters.crawler.limits import PageFault

KEPT_S = 24 * 3_600.0
FAULT_KEPT_S = 600.0
READ_BYTES = 512 << 10
"""How much of a robots.txt is read; RFC 9309 wants 500 KiB at least."""
REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What one site allows.

    Attributes:
        wishes: its robots.txt; None where it has none, and everything is allowed.
        fault: why it could not be asked; then nothing is allowed.
        until: monotonic second after which it is asked again.
    """

    wishes: Protego | None
    fault: str | None
    until: float

    def check(self, url: str) -> None:
        """Raise ``PageFault`` if the site does not let us read a page: ``robots``, or why it could not be asked."""
        if self.fault:
            raise PageFault(self.fault)
        if self.wishes is not None and not self.wishes.can_fetch(url, AGENT):
            raise PageFault("robots")

    @property
    def gap_s(self) -> float:
        """Seconds the site wants between two requests; 0 where it does not say."""
        delay = self.wishes.crawl_delay(AGENT) if self.wishes is not None else None
        return float(delay or 0.0)


def rules_in(answer: Answer) -> Rules:
    """Return the rules of a site by its answer: without a robots.txt all is allowed, in trouble nothing."""
    now = time.monotonic()
    if answer.status == 429 or answer.status >= 500:
        return Rules(None, "unavailable", now + FAULT_KEPT_S)
    if answer.status != 200:
        return Rules(None, None, now + KEPT_S)
    return Rules(Protego.parse(answer.body.decode("utf-8", "replace")), None, now + KEPT_S)


def rules_without(fault: str) -> Rules:
    """Return the rules of a site whose robots.txt could not be had; one that leads in circles is as good as none."""
    now = time.monotonic()
    return Rules(None, None if fault in {"too_many_hops", "unreadable"} else fault, now + FAULT_KEPT_S)


class KnownRules:
    """The rules of the sites asked last."""

    def __init__(self) -> None:
        self._rules: dict[str, Rules] = {}

    def get(self, site: str) -> Rules | None:
        """Return the rules of a site, None where it must be asked."""
        rules = self._rules.get(site)
        return rules if rules and rules.until > time.monotonic() else None

    def keep(self, site: str, rules: Rules) -> None:
        """Remember the rules of a site, and forget the site remembered longest if there are too many."""
        self._rules.pop(site, None)
        self._rules[site] = rules
        if len(self._rules) > REMEMBERED:
            del self._rules[next(iter(self._rules))]
