"""Finds in a text the spelling of words that a model or a person wrote slightly differently."""

from __future__ import annotations

import re

_HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2212"
_PARTS = re.compile(rf"(\s+)|([{_HYPHENS}])")
_WORD = re.compile(r"\w")
_EDGES = " \t\n\u00a0#\"'«»“”„‘’`*_.,;:!?…()[]{}<>|"
_PAIRS = (("«", "»"), ("“", "”"), ("(", ")"))
_MAX_CHARS = 200
"""Longer candidates are not searched for."""


def find_spelling(text: str, words: str) -> str | None:
    """Return the substring of ``text`` that matches ``words``; None if they do not occur.

    Case, kinds of hyphens and white space, and surrounding punctuation may differ. A match starts at the start of a
    word (``"кот"`` is not in ``"скот"``), lies on one line, and is made of whole words if there is such a match.
    """
    wanted = _strip_edges(words).replace("\n", " ")
    if not wanted or len(wanted) > _MAX_CHARS:
        return None
    if _is_whole_words(text, wanted):
        return wanted
    for pattern in (rf"(?<!\w){re.escape(wanted)}(?!\w)", rf"(?i:(?<!\w){_flexible_pattern(wanted)}(?!\w))"):
        if match := re.search(pattern, text):
            return match.group()
    beginning = re.search(rf"(?i:(?<!\w){_flexible_pattern(wanted)})", text)
    return beginning.group() if beginning else None


def _is_whole_words(text: str, words: str) -> bool:
    """Return whether the first occurrence is whole words: the usual case, checked without compiling a pattern."""
    start = text.find(words)
    end = start + len(words)
    return start >= 0 and not _WORD.match(text, start - 1, start) and not _WORD.match(text, end, end + 1)


def plain_form(name: str) -> str:
    """Return the normal form of a name: lower case, ``е`` for ``ё``, plain hyphens, single spaces."""
    lowered = _strip_edges(name).casefold().replace("ё", "е")
    return _PARTS.sub(lambda part: " " if part[1] else "-", lowered)


def _strip_edges(words: str) -> str:
    """Return the words without surrounding punctuation, except a closing bracket whose opening one is inside."""
    bare = words.strip(_EDGES)
    for opening, closing in _PAIRS:
        if bare.count(opening) > bare.count(closing) and bare + closing in words:
            return bare + closing
    return bare


def _flexible_pattern(words: str) -> str:
    """Return a pattern for the words with any kind of space except line breaks, and any kind of hyphen."""
    parts = []
    for part in _PARTS.split(words):
        if part and part.isspace():
            parts.append(r"[^\S\n]+")
        elif part and part in _HYPHENS:
            parts.append(f"[{_HYPHENS}]")
        elif part:
            parts.append(re.escape(part))
    return "".join(parts)
