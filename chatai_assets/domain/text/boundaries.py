"""Where a text may be cut, and how good a place for it each is.

A border is where a section, a paragraph or a sentence begins, or where a long sentence has a clause or a word. Its
rank is how strong it is and, among equals, a hash of the sentence that follows: so it comes from the content alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

from chatai_assets.domain.documents import Section
from chatai_assets.domain.text.sentences import sentence_starts

WORD_CHARS = 64
"""A run of more characters without white space counts as several words."""

_BEFORE_WORD, _BEFORE_CLAUSE, BEFORE_SENTENCE, _BEFORE_PARAGRAPH, _BEFORE_SECTION = range(5)
_DEEPEST_LEVEL = 6
_HASHED_CHARS = 120
"""How much of the sentence that follows a border names it, at most: edits further on leave its rank alone."""

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_CLAUSE = re.compile(r"[,;:)—–][^\S\n]+|\n\s*")
_WORD = re.compile(r"\S+")
_LONG_WORD = re.compile(rf"\S{{{WORD_CHARS + 1}}}")


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Every place where a text may be cut, in order; the first is offset 0, the last the text's end.

    Attributes:
        offsets: where in the text.
        words: how many words come before.
        ranks: greater is better; both ends outrank everything.
        strengths: the first part of the rank alone.
    """

    offsets: list[int]
    words: list[int]
    ranks: list[int]
    strengths: list[int]


def count_words(text: str) -> int:
    """Return how many words a text has, very long ones counted as several."""
    words = text.split()
    if len(text) <= WORD_CHARS or _LONG_WORD.search(text) is None:
        return len(words)
    return sum(-(-len(word) // WORD_CHARS) for word in words)


def find_boundaries(text: str, sections: Sequence[Section], piece: int) -> Boundaries:
    """Return the borders of a text, close enough that at most ``segment`` words lie between two."""
    strong = _find_strong_boundaries(text, sections)
    ends = [*sorted(strong), len(text), len(text)]
    best = (_BEFORE_SECTION + _DEEPEST_LEVEL + 1) << 32
    offsets, words, ranks, strengths = [0], [0], [best], [_BEFORE_SECTION + _DEEPEST_LEVEL]
    for start, end, beyond in zip([0, *ends], ends, ends[1:], strict=False):
        for stop, strength, count in _split_sentence(text, start, end, piece):
            offsets.append(stop)
            words.append(words[-1] + count)
            strengths.append(strong.get(stop, strength))
            ranks.append(strengths[-1] << 32 | _hash_sentence(text, stop, beyond if stop == end else end))
    strengths[-1], ranks[-1] = strengths[0], best
    return Boundaries(offsets, words, ranks, strengths)


def isolations(borders: Boundaries) -> list[int]:
    """Return of each border how many words away the nearest is that outranks it; of equals the first does."""
    words, ranks = borders.words, borders.ranks
    found = [words[-1]] * len(words)
    falling = [0]  # borders that nothing after them has outranked so far
    for index in range(1, len(ranks)):
        while falling and ranks[falling[-1]] < ranks[index]:
            inner = falling.pop()
            found[inner] = min(found[inner], words[index] - words[inner])
        if falling:
            found[index] = words[index] - words[falling[-1]]
        falling.append(index)
    return found


def _hash_sentence(text: str, at: int, end: int) -> int:
    return crc32(text[at : min(at + _HASHED_CHARS, end)].encode("utf-8", "surrogatepass"))


def _find_strong_boundaries(text: str, sections: Sequence[Section]) -> dict[int, int]:
    """Return offset -> strength of all borders down to sentences, both ends of the text left out."""
    strengths = dict.fromkeys(sentence_starts(text), BEFORE_SENTENCE)
    paragraphs = [match.end() for match in _PARAGRAPH.finditer(text)]
    strengths.update(dict.fromkeys(paragraphs, _BEFORE_PARAGRAPH))
    lines = sorted(strengths)
    for section in sections:
        body = bisect_right(lines, section.start)
        if body < len(lines):  # a heading is not parted from what it heads
            strengths[lines[body]] = _BEFORE_WORD
    for section in sections:
        if text[section.start - 1 : section.start].isspace() and not text[section.start].isspace():
            strengths[section.start] = _BEFORE_SECTION + max(0, _DEEPEST_LEVEL - section.level)
    strengths.pop(0, None)
    strengths.pop(len(text), None)
    return strengths


def _split_sentence(text: str, start: int, end: int, piece: int) -> Iterator[tuple[int, int, int]]:
    """Yield end, strength of the border there, and words of each piece of a sentence."""
    count = count_words(text[start:end])
    if count <= piece:
        yield end, BEFORE_SENTENCE, count
        return
    inner = [match.end() for match in _CLAUSE.finditer(text, start, end) if match.end() < end]
    for left, right in pairwise([start, *inner, end]):
        if (count := count_words(text[left:right])) <= piece:
            yield right, _BEFORE_CLAUSE, count
        else:
            yield from _split_words(text, left, right, piece)


def _split_words(text: str, start: int, end: int, piece: int) -> Iterator[tuple[int, int, int]]:
    """Yield each word of a stretch that has no better border; a word too long for a piece goes in parts."""
    starts: list[int] = []
    for match in _WORD.finditer(text, start, end):
        too_long = match.end() - match.start() > piece * WORD_CHARS
        starts.extend(range(match.start(), match.end(), WORD_CHARS) if too_long else [match.start()])
    for left, right in pairwise([start, *starts[1:], end]):
        yield right, _BEFORE_WORD, count_words(text[left:right])
