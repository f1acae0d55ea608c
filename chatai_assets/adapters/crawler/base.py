"""Whoever reads linked pages, without the libraries that fetch them: whoever reads none need not load these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chatai_assets.domain.web_pages import WebLink, WebPage


class PageReader(Protocol):
    """What reads linked pages."""

    def read(self, links: Sequence[WebLink]) -> list[WebPage]:
        """Return what came of each link, in order; a page that cannot be had is a page with a fault."""
        ...
