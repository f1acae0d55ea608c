"""What a linked page is, what can be wrong with one, and which links of a post lead to pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urldefrag, urlsplit

from chatai_assets.domain.text.normalize import distinct

TELEGRAM = frozenset({"t.me", "telegram.me", "telegram.dog"})
"""Posts, chats and invitations: no pages, and posts come in through the inbox."""

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "bad_address": "The link is no address of a web page.",
        "forbidden": "The link leads to an address or port that is not public.",
        "robots": "The site does not want this page to be read by programs.",
        "gone": "The page is not there or not for everybody.",
        "too_many_hops": "The page redirects too often.",
        "too_large": "The page is too large.",
        "wrong_type": "The link leads to something that is no page of text.",
        "no_text": "The page contains no text.",
        "unreadable": "The page cannot be read.",
        "too_slow": "The page did not come in time.",
        "unreachable": "The site cannot be reached.",
        "unavailable": "The site is busy or out of order.",
        "not_asked": "The page's turn did not come: its site is asked for one page at a time.",
    }
)
"""Stable codes of ``Page.fault``; stored, so never rename one."""
TRANSIENT = frozenset({"too_slow", "unreachable", "unavailable", "not_asked"})
"""Faults after which another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class WebLink:
    """A page to read, and what is known of it from the last time.

    Attributes:
        url: absolute, http(s), without a fragment.
        etag: the site's validator of the text that is kept; None where nothing is.
        modified: the site's ``Last-Modified`` of it, as it was written.
    """

    url: str
    etag: str | None = None
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class WebPage:
    """What came of a link.

    Attributes:
        url: the link's.
        fault: a key of ``FAULTS``; None if the page was read or is unchanged.
        unchanged: whether the site said that what is kept is still right; then there is no text here.
        text: normalised, like that of a document.
    """

    url: str
    error_code: str | None = None
    unchanged: bool = False
    text: str = ""
    title: str | None = None
    etag: str | None = None
    modified: str | None = None


def page_links(links: Iterable[str], most: int) -> tuple[str, ...]:
    """Return the links of a post that lead to pages, without fragments, each once, at most ``most``."""
    return distinct(urldefrag(url).url for url in links if _may_be_page(url))[:most]


def _may_be_page(url: str) -> bool:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.") not in TELEGRAM
    except ValueError:
        return False  # brackets that hold no address
