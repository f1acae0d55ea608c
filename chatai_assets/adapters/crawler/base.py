"""Protocol of page readers, without the libraries that fetch pages: only a crawl needs to import these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chatai_assets.domain.web_pages import WebLink, WebPage


class PageReader(Protocol):
    """Reads linked web pages."""

    def read(self, links: Sequence[WebLink]) -> list[WebPage]:
        """Return the page of each link, in order; a page that cannot be read has an error code."""
        ...
