"""Normalises text for storage and finds links in it; the same for posts and documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from unicodedata import normalize

LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# C0 without tab and line feed, DEL, C1; soft hyphen, zero-width space, word joiner and byte order mark,
# which split words invisibly; surrogates and noncharacters. Zero-width joiners stay: they hold emoji together.
UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
SURROGATE = re.compile("[\ud800-\udfff]")

# Longer URLs do not work anywhere; the bound keeps ``strip_punctuation`` cheap on hostile text.
LINK = re.compile(r"(?<![A-Za-z0-9])https?://[^\s<>\"\\^`{|}«»“”„]{1,4000}", re.IGNORECASE)
SCHEME = re.compile(r"https?://\w", re.IGNORECASE)
TRAILING = ".,;:!?'*_~…’‘"
CLOSING = {")": "(", "]": "["}


def normalise(text: str) -> str:
    """Return text in the form in which it is stored, compared and chunked; applying it twice changes nothing.

    NFC, ``\\n`` line ends, no control characters but ``\\n`` and ``\\t``, no invisible characters inside words, no lone
    surrogates, no surrounding white space. Pairs of surrogates are joined to one character.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    if SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return normalize("NFC", UNWANTED.sub("", LINE_ENDS.sub("\n", text))).strip()


def find_links(text: str) -> tuple[str, ...]:
    """Return the http(s) URLs in plain text, in text order, each once.

    Punctuation after a URL is not part of it; a closing bracket is if the URL has the opening one.
    """
    return distinct(url for _, url in locate_links(text))


def locate_links(text: str) -> Iterator[tuple[int, str]]:
    """Yield offset and URL of every http(s) URL in plain text."""
    for match in LINK.finditer(text):
        url = strip_punctuation(match.group())
        if SCHEME.match(url):
            yield match.start(), url


def strip_punctuation(url: str) -> str:
    """Return a URL without the punctuation that follows it in a sentence."""
    while url:
        last = url[-1]
        opening = CLOSING.get(last)
        if last not in TRAILING and (opening is None or url.count(last) <= url.count(opening)):
            return url
        url = url[:-1]
    return url


def distinct(urls: Iterable[str]) -> tuple[str, ...]:
    """Return the URLs in order, each once."""
    return tuple(dict.fromkeys(urls))
