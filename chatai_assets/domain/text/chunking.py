"""Cuts text into chunks, which are embedded, searched and quoted.

Cuts depend on the content, so that an edit changes only the chunks around it. The *isolation* of a boundary is the
distance in words to the nearest boundary that outranks it. A boundary is a cut if its isolation exceeds
``min_distance``: so a cut depends on nothing further away, cuts are more than that apart, and a changed sentence makes
at most two new cuts, one on either side or itself. This makes at most three chunks new, including overlaps. A stretch
that is still too long is cut at a boundary inside with high isolation. One stretch in sixty of real documents needs
that, which would occasionally make a fourth chunk new: then the cuts outside the edit are preserved (``rechunk``).
(Local-extremum chunking; compare Bjørner, Blass, Gurevich: "Content-dependent chunking for differential compression,
the local maximum approach", 2010.)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from chatai_assets.domain.documents import Page, Section
from chatai_assets.domain.text.boundaries import BEFORE_SENTENCE, Boundaries, count_words, find_boundaries, isolations

BODY = "body"
"""The part of a source that is its own text; a linked page is another part."""

MAX_NEW_CHUNKS = 3
"""Maximum number of chunks that one edited sentence makes new."""


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
    """Lengths of chunks in words (runs without white space, see ``boundaries.WORD_CHARS``).

    Attributes:
        max_words: maximum length of a chunk.
        overlap_words: about so many words before a chunk are repeated in it, from the start of a sentence and as far
            as there is room; less than ``max_words``.
    """

    max_words: int
    overlap_words: int

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for limits that cannot be met."""
        if not 0 <= self.overlap_words < self.max_words:
            raise ValueError(f"an overlap of {self.overlap_words} words leaves no room in {self.max_words}")

    @property
    def min_distance(self) -> int:
        """Isolation in words that makes a boundary a cut; also the minimum length of a chunk without its overlap.

        It is slightly more than the usual overlap, so that a chunk never repeats words of the chunk before the previous
        one; a larger value would leave more stretches too long.
        """
        return max(1, self.max_words * 5 // 24)

    @property
    def segment(self) -> int:
        """Maximum number of words between two boundaries."""
        return max(1, self.max_words // 16)


_SplitStretch = Callable[[Sequence[int], Sequence[int], int, int, ChunkLimits], Iterable[int]]
"""Words and isolations of all boundaries, two cuts -> the cuts that the stretch between them needs."""

DEFAULT_LIMITS = ChunkLimits(max_words=600, overlap_words=120)


def chunk_text(
    text: str,
    pages: Sequence[Page] = (),
    sections: Sequence[Section] = (),
    limits: ChunkLimits = DEFAULT_LIMITS,
) -> list[Chunk]:
    """Return the chunks of a text in order; none for a text of white space.

    Every character that is not white space is in some chunk; a text of at most ``limits.max_words`` words is one.

    Args:
        text: normalised text of a post or document.
        pages: its pages, ascending.
        sections: its headings, which make the strongest boundaries.
        limits: lengths of chunks.
    """
    if count_words(text) <= limits.max_words:
        return _build_chunks(text, pages, [(0, len(text))])
    boundaries = find_boundaries(text, sections, limits.segment)
    return _build_chunks(text, pages, _find_spans(boundaries, _find_cuts(boundaries, limits), limits))


@dataclass(frozen=True, slots=True)
class PreviousChunks:
    """Chunks of the previous revision of a text, made by the same code.

    Attributes:
        text: the whole text.
        spans: start and end of each chunk, in order.
    """

    text: str
    spans: Sequence[tuple[int, int]]

    def count_new(self, chunks: Sequence[Chunk]) -> int:
        """Return how many of these chunks have a text that no previous one had."""
        previous = {self.text[start:end] for start, end in self.spans}
        return sum(chunk.text not in previous for chunk in chunks)

    def find_unaffected_cuts(self, text: str) -> list[int]:
        """Return the previous cuts outside the edit, as offsets in the edited text."""
        before = _common_prefix_length(self.text, text)
        after = _common_prefix_length(self.text[before:][::-1], text[before:][::-1])
        cuts = [_skip_whitespace(self.text, end) for _, end in self.spans[:-1]]
        shift = len(text) - len(self.text)
        return [at if at <= before else at + shift for at in cuts if at <= before or at >= len(self.text) - after]


def rechunk(
    previous: PreviousChunks,
    text: str,
    pages: Sequence[Page] = (),
    sections: Sequence[Section] = (),
    limits: ChunkLimits = DEFAULT_LIMITS,
) -> list[Chunk]:
    """Return the chunks of an edited text: those of ``chunk_text``, or as many previous ones as can be preserved.

    Cuts outside the edit are preserved only if at most ``MAX_NEW_CHUNKS`` chunks are new then and more would be new
    otherwise. So replacing, inserting or deleting a sentence of up to 400 words never makes more chunks new, and almost
    every text is cut as if it had no previous revision.
    """
    chunks = chunk_text(text, pages, sections, limits)
    if previous.count_new(chunks) <= MAX_NEW_CHUNKS:
        return chunks
    boundaries = find_boundaries(text, sections, limits.segment)
    preserved = _build_chunks(
        text,
        pages,
        _find_spans(boundaries, _preserve_cuts(boundaries, previous.find_unaffected_cuts(text), limits), limits),
    )
    return preserved if previous.count_new(preserved) <= MAX_NEW_CHUNKS else chunks


def _common_prefix_length(text: str, other: str) -> int:
    """Return the number of characters that two texts have in common at their start."""
    pairs = zip(text, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(text), len(other)))


def _skip_whitespace(text: str, at: int) -> int:
    return next((offset for offset in range(at, len(text)) if not text[offset].isspace()), len(text))


def _build_chunks(text: str, pages: Sequence[Page], spans: Iterable[tuple[int, int]]) -> list[Chunk]:
    trimmed = [_trim(text, start, end) for start, end in spans]
    starts = [page.start for page in pages]
    return [
        Chunk(ordinal, text[start:end], start, end, _page_at(start, pages, starts))
        for ordinal, (start, end) in enumerate(span for span in trimmed if span[0] < span[1])
    ]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    stretch = text[start:end]
    return start + len(stretch) - len(stretch.lstrip()), start + len(stretch.rstrip())


def _page_at(offset: int, pages: Sequence[Page], starts: Sequence[int]) -> int | None:
    if not pages:
        return None
    return pages[max(0, bisect_right(starts, offset) - 1)].number


def _find_cuts(boundaries: Boundaries, limits: ChunkLimits) -> list[int]:
    """Return the indexes of the boundaries at which chunks begin or end, from the content alone."""
    isolation = isolations(boundaries)
    best = [index for index in range(1, len(isolation) - 1) if isolation[index] > limits.min_distance]
    return _split_long_stretches(boundaries.words, isolation, [*best, len(isolation) - 1], _split_by_isolation, limits)


def _preserve_cuts(boundaries: Boundaries, offsets: Sequence[int], limits: ChunkLimits) -> list[int]:
    """Return the indexes of the boundaries at these offsets, and of those that the limits need in addition."""
    wanted = {*offsets, boundaries.offsets[-1]}
    preserved = [index for index in range(1, len(boundaries.offsets)) if boundaries.offsets[index] in wanted]
    return _split_long_stretches(boundaries.words, isolations(boundaries), preserved, _split_into_fewest, limits)


def _split_long_stretches(
    words: Sequence[int], isolation: Sequence[int], cuts: Sequence[int], between: _SplitStretch, limits: ChunkLimits
) -> list[int]:
    """Return the first boundary, these cuts, and the cuts that ``between`` adds to stretches that are too long."""
    found = [0]
    for index in cuts:
        found.extend(between(words, isolation, found[-1], index, limits))
        found.append(index)
    return found


def _find_spans(boundaries: Boundaries, cuts: Sequence[int], limits: ChunkLimits) -> Iterator[tuple[int, int]]:
    """Yield start and end of each chunk, including the overlap."""
    yield boundaries.offsets[0], boundaries.offsets[cuts[1]]
    for before, left, right in zip(cuts, cuts[1:], cuts[2:], strict=False):
        own_words = boundaries.words[right] - boundaries.words[left]
        start = _find_overlap_start(boundaries, before, left, limits.max_words - own_words, limits)
        yield boundaries.offsets[start], boundaries.offsets[right]


def _split_by_isolation(
    words: Sequence[int], isolation: Sequence[int], left: int, right: int, limits: ChunkLimits
) -> Iterator[int]:
    """Yield the cuts that a stretch needs to stay within the limits, at boundaries of most isolation.

    Of equals the last one is taken. The cuts do not depend on the length of the stretch, so that its far end may move
    with an edit beyond it.
    """
    while words[right] - words[left] > limits.max_words:
        first = bisect_left(words, words[left] + limits.min_distance, left + 1, right)
        beyond = bisect_right(words, words[left] + max(limits.min_distance, limits.max_words * 2 // 3), first, right)
        left = max(range(first, beyond), key=lambda index: (isolation[index], index))
        yield left


def _split_into_fewest(
    words: Sequence[int], isolation: Sequence[int], left: int, right: int, limits: ChunkLimits
) -> Iterator[int]:
    """Yield the cuts that split a stretch into the minimum number of chunks that is possible for any boundaries."""
    guaranteed = limits.max_words - limits.segment + 1  # there is always a boundary between this and the limit
    while (length := words[right] - words[left]) > limits.max_words:
        rest = (-(-length // guaranteed) - 1) * guaranteed
        first = bisect_left(words, words[left] + max(limits.min_distance, length - rest), left + 1, right)
        last = words[left] + min(limits.max_words, length - limits.min_distance)
        left = max(range(first, bisect_right(words, last, first, right)), key=lambda index: (isolation[index], index))
        yield left


def _find_overlap_start(boundaries: Boundaries, before: int, start: int, room: int, limits: ChunkLimits) -> int:
    """Return the boundary at which the overlap starts: the start of a sentence, or any boundary if it is too long.

    At least one word of the previous chunk, which starts at boundary ``before``, is not repeated. If there is less room
    than an overlap, it starts at a sentence or there is no overlap.
    """
    words, overlap = boundaries.words, min(limits.overlap_words, room)
    first = max(bisect_left(words, words[start] - overlap, 0, start), bisect_right(words, words[before], 0, start))
    sentences = (index for index in range(first, start) if boundaries.strengths[index] >= BEFORE_SENTENCE)
    return next(sentences, first if overlap == limits.overlap_words else start)
