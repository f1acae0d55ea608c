"""Limits of rendering pages in a browser."""

from __future__ import annotations

from dataclasses import dataclass


class RenderError(Exception):
    """A page could not be rendered; the message says why in a few words, without the URL."""


@dataclass(frozen=True, slots=True)
class BrowserLimits:
    """Limits of rendering; a page that exceeds them is parsed as it was fetched.

    Attributes:
        pages: rendered at a time.
        page_s: seconds for one page with all its subresources.
        settle_s: seconds of these to wait for requests of scripts; then the page is read as it is.
        subresources: requests that one page may make.
        subresource_bytes: size of one such response after decompression.
        subresources_bytes: size of all such responses of one page.
        html_bytes: size of a rendered page.
        memory_bytes: private memory of each browser process; a page that needs more fails.
        start_s: seconds the browser may take to start.
        end_s: seconds it may take to stop, or to close a page after its timeout, before it is killed.
        rest_s: seconds after a failed start in which no other start is tried.
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
