"""What linked pages may cost, and how they fail."""

from __future__ import annotations

from dataclasses import dataclass


class FetchError(Exception):
    """A page cannot be had.

    Args:
        code: a key of ``domain.web_pages.FAULTS``.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class CrawlLimits:
    """Limits of reading linked pages.

    Attributes:
        hops: redirects that are followed.
        wire_bytes: of one answer as it is sent; a longer one is not read to its end.
        body_bytes: of one answer as it is unpacked.
        text_chars: what is kept of a page's text.
        connect_s: seconds for one connection, the name's resolution apart.
        silence_s: seconds without a byte.
        page_s: seconds by the clock for all exchanges of one link, however much comes in them.
        link_s: seconds for one link with everything: waiting for its turn, robots.txt, reading.
        gap_s: seconds between two requests to one host; there is never more than one at a time.
        longest_gap_s: of what a host's robots.txt may ask for; who asks for more is asked at this rate.
        answers: answers that are fetched or read at a time; with ``body_bytes`` this bounds memory.
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
