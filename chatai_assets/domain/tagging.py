"""Turns a tagger's candidates into tags that occur in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from chatai_assets.domain.ids import digest
from chatai_assets.domain.text.spelling import find_spelling

TAGGED_CHARS = 8_000
"""How much of a text a tagger reads: the beginning says what a document is about."""
MAX_TAGS = 8
MAX_TAG_WORDS = 5
MIN_TAG_CHARS = 2
MAX_TAG_CHARS = 60
MAX_CANDIDATES = 100
"""Further candidates are ignored, however many a model returns."""

MASK = "|"
"""Stands for an address: punctuation, so that no phrase goes across it."""

_ADDRESS = re.compile(
    r"\b\w{2,12}://\S+|\bwww\.\S+|\b[\w.+-]{1,64}@[\w.-]+|@\w+"
    r"|(?<![\w.-])(?:[\w-]{1,63}\.){1,4}(?:ru|com|org|net|me|su|io|info|рф)(?![\w-])(?:/\S*)?"
)
_PART_OF_ADDRESS = re.compile(r"://|www\.|@|\.(?:ru|com|org|net|me|su|io|info|рф)(?![\w-])")
"""Stands in every address; most texts have none, and are searched for this twenty times as fast."""
_WORD = re.compile(r"(?<!\w)[^\W\d_]{2,}(?:[-\u2010\u2011][^\W\d_]+)*")


def check_tags(candidates: Sequence[str], text: str) -> tuple[str, ...]:
    """Return the candidates that are tags of the text, in order, in the text's own spelling: at most ``MAX_TAGS``.

    Each is a substring of the text, has 2-60 characters and at most 5 words, holds two letters in a row and no address.
    Of two that differ in case only the first stays. Empty when no candidate holds: a fault of the tagger if
    ``has_usable_word``.
    """
    tags: dict[str, str] = {}
    for candidate in candidates[:MAX_CANDIDATES]:
        tag = find_spelling(text, candidate)
        if tag is not None and _is_tag(tag):
            tags.setdefault(tag.casefold(), tag)
        if len(tags) == MAX_TAGS:
            break
    return tuple(tags.values())


def _is_tag(words: str) -> bool:
    return (
        MIN_TAG_CHARS <= len(words) <= MAX_TAG_CHARS
        and len(words.split()) <= MAX_TAG_WORDS
        and _WORD.search(words) is not None
        and _ADDRESS.search(words) is None
    )


def without_addresses(text: str) -> str:
    """Return the text with a bar and spaces where it has URLs, domains and @names: all offsets stay."""
    if _PART_OF_ADDRESS.search(text) is None:
        return text
    return _ADDRESS.sub(lambda match: f" {MASK}".ljust(len(match.group())), text)


def usable_words(text: str) -> Iterator[str]:
    """Yield, in order, the words that would each be a valid tag; addresses have none."""
    for line in text.split("\n"):  # neither words nor addresses go beyond one; often the first is enough
        for match in _WORD.finditer(without_addresses(line)):
            if len(match.group()) <= MAX_TAG_CHARS:
                yield match.group()


def has_usable_word(text: str) -> bool:
    """Whether a tagger must find at least one tag."""
    return next(usable_words(text), None) is not None


def tags_hash(tags: Sequence[str]) -> str:
    """Return what changes exactly when the tags, their order or their spelling do."""
    return digest("tags", *tags)
