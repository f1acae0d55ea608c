"""Limits of crawling linked pages, and the error of a page that cannot be fetched."""

from __future__ import annotations

from dataclasses import dataclass


class FetchError(Exception):
    """A page cannot be fetched or read.

    Args:
        code: a key of ``domain.web_pages.FAULTS``.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class CrawlLimits:
    """Limits of crawling linked pages.

    Attributes:
        max_redirects: redirects that are followed.
        wire_bytes: size of one response as sent; the rest is not read.
        body_bytes: size of one response after decompression.
        text_chars: characters stored of a page's text.
        connect_s: seconds for one connection, without name resolution.
        silence_s: seconds without a byte.
        page_s: wall time in seconds for all requests of one link.
        link_s: seconds for one link in total: throttling, robots.txt, fetching, parsing.
        crawl_delay_s: seconds between two requests to one host; there is never more than one at a time.
        max_crawl_delay_s: largest delay that a robots.txt may ask for; larger ones count as this.
        answers: responses that are fetched or parsed at a time; with ``body_bytes`` this limits memory.
    """

    max_redirects: int = 5
    wire_bytes: int = 5 << 20
    body_bytes: int = 10 << 20
    text_chars: int = 200_000
    connect_s: float = 5.0
    silence_s: float = 10.0
    page_s: float = 20.0
    link_s: float = 60.0
    crawl_delay_s: float = 1.0
    max_crawl_delay_s: float = 10.0
    answers: int = 16
