"""Finds the boundaries at which a text may be cut, and ranks them.

A boundary is the start of a section, paragraph or sentence, or of a clause or word in a long sentence. Its rank is its
strength and, among equals, a hash of the sentence that follows, so that it depends on the content alone.
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
"""A longer run without white space counts as several words."""

_BEFORE_WORD, _BEFORE_CLAUSE, BEFORE_SENTENCE, _BEFORE_PARAGRAPH, _BEFORE_SECTION = range(5)
_DEEPEST_LEVEL = 6
_HASHED_CHARS = 120
"""Characters of the following sentence that are hashed at most: later edits do not change the rank."""

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_CLAUSE = re.compile(r"[,;:)—–][^\S\n]+|\n\s*")
_WORD = re.compile(r"\S+")
_LONG_WORD = re.compile(rf"\S{{{WORD_CHARS + 1}}}")


@dataclass(frozen=True, slots=True)
class Boundaries:
    """All boundaries of a text in order; the first is offset 0, the last the end of the text.

    Attributes:
        offsets: in the text.
        words: number of words before each.
        ranks: greater is better; both ends outrank everything.
        strengths: the strength part of each rank.
    """

    offsets: list[int]
    words: list[int]
    ranks: list[int]
    strengths: list[int]


def count_words(text: str) -> int:
    """Return the number of words in a text; very long ones count as several."""
    words = text.split()
    if len(text) <= WORD_CHARS or _LONG_WORD.search(text) is None:
        return len(words)
    return sum(-(-len(word) // WORD_CHARS) for word in words)


def find_boundaries(text: str, sections: Sequence[Section], segment: int) -> Boundaries:
    """Return the boundaries of a text.

    Args:
        text: normalised.
        sections: its headings, which make the strongest boundaries.
        segment: at most so many words lie between two boundaries.
    """
    strong = _find_strong_boundaries(text, sections)
    ends = [*sorted(strong), len(text), len(text)]
    best = (_BEFORE_SECTION + _DEEPEST_LEVEL + 1) << 32
    offsets, words, ranks, strengths = [0], [0], [best], [_BEFORE_SECTION + _DEEPEST_LEVEL]
    for start, end, next_end in zip([0, *ends], ends, ends[1:], strict=False):
        for stop, strength, count in _split_sentence(text, start, end, segment):
            offsets.append(stop)
            words.append(words[-1] + count)
            strengths.append(strong.get(stop, strength))
            ranks.append(strengths[-1] << 32 | _hash_sentence(text, stop, next_end if stop == end else end))
    strengths[-1], ranks[-1] = strengths[0], best
    return Boundaries(offsets, words, ranks, strengths)


def isolations(boundaries: Boundaries) -> list[int]:
    """Return for each boundary the distance in words to the nearest one that outranks it; of equals the first does."""
    words, ranks = boundaries.words, boundaries.ranks
    found = [words[-1]] * len(words)
    descending = [0]  # indexes of boundaries that no later one has outranked so far
    for index in range(1, len(ranks)):
        while descending and ranks[descending[-1]] < ranks[index]:
            inner = descending.pop()
            found[inner] = min(found[inner], words[index] - words[inner])
        if descending:
            found[index] = words[index] - words[descending[-1]]
        descending.append(index)
    return found


def _hash_sentence(text: str, at: int, end: int) -> int:
    return crc32(text[at : min(at + _HASHED_CHARS, end)].encode("utf-8", "surrogatepass"))


def _find_strong_boundaries(text: str, sections: Sequence[Section]) -> dict[int, int]:
    """Return offset -> strength of all boundaries down to sentences, without both ends of the text."""
    strengths = dict.fromkeys(sentence_starts(text), BEFORE_SENTENCE)
    paragraphs = [match.end() for match in _PARAGRAPH.finditer(text)]
    strengths.update(dict.fromkeys(paragraphs, _BEFORE_PARAGRAPH))
    lines = sorted(strengths)
    for section in sections:
        body = bisect_right(lines, section.start)
        if body < len(lines):  # a heading stays with the text below it
            strengths[lines[body]] = _BEFORE_WORD
    for section in sections:
        if text[section.start - 1 : section.start].isspace() and not text[section.start].isspace():
            strengths[section.start] = _BEFORE_SECTION + max(0, _DEEPEST_LEVEL - section.level)
    strengths.pop(0, None)
    strengths.pop(len(text), None)
    return strengths


def _split_sentence(text: str, start: int, end: int, segment: int) -> Iterator[tuple[int, int, int]]:
    """Yield end, strength of the boundary there, and number of words of each segment of a sentence."""
    count = count_words(text[start:end])
    if count <= segment:
        yield end, BEFORE_SENTENCE, count
        return
    inner = [match.end() for match in _CLAUSE.finditer(text, start, end) if match.end() < end]
    for left, right in pairwise([start, *inner, end]):
        if (count := count_words(text[left:right])) <= segment:
            yield right, _BEFORE_CLAUSE, count
        else:
            yield from _split_words(text, left, right, segment)


def _split_words(text: str, start: int, end: int, segment: int) -> Iterator[tuple[int, int, int]]:
    """Yield each word of a stretch without better boundaries; a word longer than a segment is cut into parts."""
    starts: list[int] = []
    for match in _WORD.finditer(text, start, end):
        too_long = match.end() - match.start() > segment * WORD_CHARS
        starts.extend(range(match.start(), match.end(), WORD_CHARS) if too_long else [match.start()])
    for left, right in pairwise([start, *starts[1:], end]):
        yield right, _BEFORE_WORD, count_words(text[left:right])
