"""Linked web pages: their links, results and error codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urldefrag, urlsplit

from chatai_assets.domain.text.normalize import distinct

TELEGRAM = frozenset({"t.me", "telegram.me", "telegram.dog"})
"""Hosts of posts, chats and invitations. These are not crawled: posts arrive through the inbox."""

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
"""Code of ``WebPage.error_code`` -> sentence. Codes are stored: never rename one."""
TRANSIENT = frozenset({"too_slow", "unreachable", "unavailable", "not_asked"})
"""Codes of errors after which another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class WebLink:
    """A page to fetch, with the validators of the stored text.

    Attributes:
        url: absolute, http(s), without a fragment.
        etag: ``ETag`` of the stored text; None without one.
        modified: ``Last-Modified`` of the stored text, exactly as the site sent it.
    """

    url: str
    etag: str | None = None
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class WebPage:
    """The result of fetching a link.

    Attributes:
        url: of the link.
        error_code: a key of ``FAULTS``; None if the page was read or is unchanged.
        unchanged: whether the site confirmed that the stored text is current; then ``text`` is empty.
        text: normalised, like that of a document.
    """

    url: str
    error_code: str | None = None
    unchanged: bool = False
    text: str = ""
    title: str | None = None
    etag: str | None = None
    modified: str | None = None


def page_links(links: Iterable[str], limit: int) -> tuple[str, ...]:
    """Return the links of a post that lead to web pages, without fragments, each once, at most ``limit``."""
    return distinct(urldefrag(url).url for url in links if _may_be_page(url))[:limit]


def _may_be_page(url: str) -> bool:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.") not in TELEGRAM
    except ValueError:
        return False  # brackets without an IPv6 address in them
