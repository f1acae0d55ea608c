"""How a text itself spells words that somebody else wrote down."""

from __future__ import annotations

import re

_HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2212"
_PARTS = re.compile(rf"(\s+)|([{_HYPHENS}])")
_WORD = re.compile(r"\w")
_EDGES = " \t\n\u00a0#\"'«»“”„‘’`*_.,;:!?…()[]{}<>|"
_PAIRS = (("«", "»"), ("“", "”"), ("(", ")"))
_LONGEST = 200
"""Characters of a candidate beyond which it is not looked for."""


def find_spelling(text: str, words: str) -> str | None:
    """Return the substring of ``text`` that ``words`` name, None where they do not occur.

    They may differ from it in case, in the kind of hyphen or white space and in punctuation around them. What is found
    begins where a word begins (``"кот"`` is not in ``"скот"``), lies on one line, and is a whole word if there is one.
    """
    wanted = _strip_edges(words).replace("\n", " ")
    if not wanted or len(wanted) > _LONGEST:
        return None
    if _is_whole_words(text, wanted):
        return wanted
    for pattern in (rf"(?<!\w){re.escape(wanted)}(?!\w)", rf"(?i:(?<!\w){_flexible_pattern(wanted)}(?!\w))"):
        if match := re.search(pattern, text):
            return match.group()
    beginning = re.search(rf"(?i:(?<!\w){_flexible_pattern(wanted)})", text)
    return beginning.group() if beginning else None


def _is_whole_words(text: str, words: str) -> bool:
    """Return whether the words' first occurrence is whole words; the usual case, told without compiling a pattern."""
    start = text.find(words)
    end = start + len(words)
    return start >= 0 and not _WORD.match(text, start - 1, start) and not _WORD.match(text, end, end + 1)


def plain_form(name: str) -> str:
    """Return a name as its spellings share it: lower case, ``е`` for ``ё``, plain hyphens, single spaces."""
    lowered = _strip_edges(name).casefold().replace("ё", "е")
    return _PARTS.sub(lambda part: " " if part[1] else "-", lowered)


def _strip_edges(words: str) -> str:
    """Return the words without punctuation around them, but for a bracket whose partner stands within."""
    bare = words.strip(_EDGES)
    for opening, closing in _PAIRS:
        if bare.count(opening) > bare.count(closing) and bare + closing in words:
            return bare + closing
    return bare


def _flexible_pattern(words: str) -> str:
    """Return a pattern for the words with any kind of space, but no line break, and any kind of hyphen."""
    parts = []
    for part in _PARTS.split(words):
        if part and part.isspace():
            parts.append(r"[^\S\n]+")
        elif part and part in _HYPHENS:
            parts.append(f"[{_HYPHENS}]")
        elif part:
            parts.append(re.escape(part))
    return "".join(parts)
