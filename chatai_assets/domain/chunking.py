"""Text -> chunks: what is embedded, searched and quoted.

Borders come from the content, so that an edit changes only the chunks around it. A border is where a section, a
paragraph or a sentence begins; its rank is how strong it is and, among equals, a hash of the sentence that follows.
Its *clearance* is how far the nearest border is that outranks it. A border is a cut when that is more than *reach*
words: so cuts depend on nothing further away, lie more than that apart, and a changed sentence makes at most two new
ones, one on either side or itself. Such a cut makes no more than three chunks new, their overlaps included. Where too
long a stretch is left, a border inside with much clearance is cut as well; as that happens to one stretch in a hundred,
four chunks are new after one edit in some four hundred thousand. (Local-extremum chunking; compare Bjørner,
Blass, Gurevich: "Content-dependent chunking for differential compression, the local maximum approach", 2010.)
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

from chatai_assets.domain.documents import Page, Section
from chatai_assets.domain.sentences import sentence_starts

BODY = "body"
"""The part of a source that is its own text; a linked page is another part."""

WORD_CHARS = 64
"""A run of more characters without white space counts as several words."""

_BEFORE_WORD, _BEFORE_CLAUSE, _BEFORE_SENTENCE, _BEFORE_PARAGRAPH, _BEFORE_SECTION = range(5)
_DEEPEST_LEVEL = 6
_HASHED_CHARS = 120
"""How much of the sentence that follows a border names it, at most: edits further on leave its rank alone."""

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_CLAUSE = re.compile(r"[,;:)—–][^\S\n]+|\n\s*")
_WORD = re.compile(r"\S+")
_LONG_WORD = re.compile(rf"\S{{{WORD_CHARS + 1}}}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a source's parsed text: ``text == parsed.text[start:end]``, always.

    Attributes:
        ordinal: 0-based position within its part.
        start: offset of its first character in the parsed text.
        end: offset after its last character.
        page: number of the page it starts on; None for formats without pages.
    """

    ordinal: int
    text: str
    start: int
    end: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How long chunks are, in words (runs without white space, see ``WORD_CHARS``).

    Attributes:
        max_words: no chunk has more.
        overlap_words: about so many words before a chunk's own are repeated in it, from a sentence border on, as far
            as there is room; less than ``max_words``.
    """

    max_words: int
    overlap_words: int

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for limits that no cutting can keep."""
        if not 0 <= self.overlap_words < self.max_words:
            raise ValueError(f"an overlap of {self.overlap_words} words leaves no room in {self.max_words}")

    @property
    def reach(self) -> int:
        """How far, in words, a border must be the best one to be a cut: also the least a chunk has besides its overlap.

        It is a little more than the usual overlap, so that no chunk repeats words of the last but one; more than that
        would leave more stretches too long.
        """
        return max(1, self.max_words * 5 // 24)

    @property
    def piece(self) -> int:
        """At most so many words lie between two borders."""
        return max(1, self.max_words // 16)


DEFAULT_LIMITS = ChunkLimits(max_words=600, overlap_words=120)


@dataclass(frozen=True, slots=True)
class _Borders:
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


def cut(
    text: str,
    pages: Sequence[Page] = (),
    sections: Sequence[Section] = (),
    limits: ChunkLimits = DEFAULT_LIMITS,
) -> list[Chunk]:
    """Return the chunks of a text in order; none for a text of white space.

    Every character that is not white space is in some chunk; a text of at most ``limits.max_words`` words is one.

    Args:
        text: normalised text of a post or document.
        pages: where its pages lie, ascending.
        sections: its headings, which make the strongest borders.
        limits: how long chunks may be.
    """
    if words_of(text) <= limits.max_words:
        spans = [(0, len(text))]
    else:
        spans = list(_spans(_borders(text, sections, limits.piece), limits))
    trimmed = [_trim(text, start, end) for start, end in spans]
    starts = [page.start for page in pages]
    return [
        Chunk(ordinal, text[start:end], start, end, _page_at(start, pages, starts))
        for ordinal, (start, end) in enumerate(span for span in trimmed if span[0] < span[1])
    ]


def words_of(text: str) -> int:
    """Return how many words a text has, very long ones counted as several."""
    words = text.split()
    if len(text) <= WORD_CHARS or _LONG_WORD.search(text) is None:
        return len(words)
    return sum(-(-len(word) // WORD_CHARS) for word in words)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    stretch = text[start:end]
    return start + len(stretch) - len(stretch.lstrip()), start + len(stretch.rstrip())


def _page_at(offset: int, pages: Sequence[Page], starts: Sequence[int]) -> int | None:
    if not pages:
        return None
    return pages[max(0, bisect_right(starts, offset) - 1)].number


def _borders(text: str, sections: Sequence[Section], piece: int) -> _Borders:
    """Return the borders of a text, close enough that at most ``piece`` words lie between two."""
    strong = _strong_borders(text, sections)
    ends = [*sorted(strong), len(text), len(text)]
    best = (_BEFORE_SECTION + _DEEPEST_LEVEL + 1) << 32
    offsets, words, ranks, strengths = [0], [0], [best], [_BEFORE_SECTION + _DEEPEST_LEVEL]
    for start, end, beyond in zip([0, *ends], ends, ends[1:], strict=False):
        for _, stop, strength, count in _pieces(text, start, end, piece):
            offsets.append(stop)
            words.append(words[-1] + count)
            strengths.append(strong.get(stop, strength))
            ranks.append(strengths[-1] << 32 | _name(text, stop, beyond if stop == end else end))
    strengths[-1], ranks[-1] = strengths[0], best
    return _Borders(offsets, words, ranks, strengths)


def _name(text: str, at: int, end: int) -> int:
    return crc32(text[at : min(at + _HASHED_CHARS, end)].encode("utf-8", "surrogatepass"))


def _strong_borders(text: str, sections: Sequence[Section]) -> dict[int, int]:
    """Return offset -> strength of all borders down to sentences, both ends of the text left out."""
    strengths = dict.fromkeys(sentence_starts(text), _BEFORE_SENTENCE)
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


def _pieces(text: str, start: int, end: int, piece: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield start, end, strength of the border at the end, and words of each piece of a sentence."""
    count = words_of(text[start:end])
    if count <= piece:
        yield start, end, _BEFORE_SENTENCE, count
        return
    inner = [match.end() for match in _CLAUSE.finditer(text, start, end) if match.end() < end]
    for left, right in pairwise([start, *inner, end]):
        if (count := words_of(text[left:right])) <= piece:
            yield left, right, _BEFORE_CLAUSE, count
        else:
            yield from _single_words(text, left, right, piece)


def _single_words(text: str, start: int, end: int, piece: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield each word of a stretch that has no better border; a word too long for a piece goes in parts."""
    starts: list[int] = []
    for match in _WORD.finditer(text, start, end):
        too_long = match.end() - match.start() > piece * WORD_CHARS
        starts.extend(range(match.start(), match.end(), WORD_CHARS) if too_long else [match.start()])
    for left, right in pairwise([start, *starts[1:], end]):
        yield left, right, _BEFORE_WORD, words_of(text[left:right])


def _spans(borders: _Borders, limits: ChunkLimits) -> Iterator[tuple[int, int]]:
    """Yield start and end of each chunk, overlap included."""
    clearances = _clearances(borders)
    best = [index for index in range(1, len(clearances) - 1) if clearances[index] > limits.reach]
    cuts = [0]
    for index in [*best, len(clearances) - 1]:
        cuts.extend(_within(borders.words, clearances, cuts[-1], index, limits))
        cuts.append(index)
    yield borders.offsets[0], borders.offsets[cuts[1]]
    for before, left, right in zip(cuts, cuts[1:], cuts[2:], strict=False):
        own_words = borders.words[right] - borders.words[left]
        start = _overlap_from(borders, before, left, limits.max_words - own_words, limits)
        yield borders.offsets[start], borders.offsets[right]


def _clearances(borders: _Borders) -> list[int]:
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


def _within(
    words: Sequence[int], clearances: Sequence[int], left: int, right: int, limits: ChunkLimits
) -> Iterator[int]:
    """Yield the cuts that a stretch between two cuts needs to keep to the limits; of equals the last.

    Where they are does not depend on how long the stretch is, so that its far end may move with an edit beyond it.
    """
    while words[right] - words[left] > limits.max_words:
        first = bisect_left(words, words[left] + limits.reach, left + 1, right)
        beyond = bisect_right(words, words[left] + max(limits.reach, limits.max_words * 2 // 3), first, right)
        left = max(range(first, beyond), key=lambda index: (clearances[index], index))
        yield left


def _overlap_from(borders: _Borders, before: int, start: int, room: int, limits: ChunkLimits) -> int:
    """Return the border from which a chunk repeats what came before: a sentence's, or any if that one is too long.

    At least one word of the chunk before, whose own words begin at border ``before``, is not repeated. Where there is
    room for less than an overlap, it begins at a sentence or not at all.
    """
    words, overlap = borders.words, min(limits.overlap_words, room)
    first = max(bisect_left(words, words[start] - overlap, 0, start), bisect_right(words, words[before], 0, start))
    sentences = (index for index in range(first, start) if borders.strengths[index] >= _BEFORE_SENTENCE)
    return next(sentences, first if overlap == limits.overlap_words else start)
