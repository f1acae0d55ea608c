"""A browser connected to the small internet."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from chatai_assets.adapters.crawler.browser.limits import BrowserLimits
from chatai_assets.adapters.crawler.crawler import Crawler
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets_tests.support.hostile_web import TIGHT_LIMITS, Internet

PATIENT = BrowserLimits(page_s=30.0, end_s=5.0)
"""Limits for a busy machine."""
LIMITS = replace(TIGHT_LIMITS, link_s=90.0)

Shown = Callable[[BrowserLimits], AbstractContextManager[Crawler]]


@pytest.fixture
def showing(net: Internet, page_parser: ParserPool, browser: None) -> Shown:
    """Limits of the browser -> a crawler that renders pages in it before parsing them."""
    return lambda limits: Crawler(page_parser, LIMITS, net.policy, limits)


@pytest.fixture
def shown(showing: Shown) -> Iterator[Crawler]:
    with showing(PATIENT) as made:
        yield made
