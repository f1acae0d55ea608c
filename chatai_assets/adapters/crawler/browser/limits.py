"""What showing pages in a browser may cost."""

from __future__ import annotations

from dataclasses import dataclass


class RenderError(Exception):
    """A page could not be shown; says why in a word or two, without the page's address."""


@dataclass(frozen=True, slots=True)
class BrowserLimits:
    """Limits of showing pages; a page that breaks them is read as it was fetched.

    Attributes:
        pages: shown at a time.
        page_s: seconds for one page, with all it asks for.
        settle_s: seconds of these that are given to what a page asks for by its scripts; then it is read as it is.
        parts: answers that one page may ask for.
        part_bytes: of one such answer, unpacked.
        parts_bytes: of all that one page asks for, unpacked.
        html_bytes: of a page as it is shown.
        memory_bytes: private memory of each process of the browser; a page that wants more fails.
        start_s: seconds the browser may take to start.
        end_s: seconds it may take to end, or to give up a page whose time is over, before it is killed.
        rest_s: seconds after a start that failed, in which no other is tried.
    """

    pages: int = 4
    page_s: float = 15.0
    settle_s: float = 5.0
    subresources: int = 100
    subresource_bytes: int = 4 << 20
    subresources_bytes: int = 20 << 20
    html_bytes: int = 10 << 20
    memory_bytes: int = 1 << 30
    start_s: float = 60.0
    end_s: float = 2.0
    rest_s: float = 60.0
