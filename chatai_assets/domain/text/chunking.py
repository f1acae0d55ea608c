"""Text -> chunks: what is embedded, searched and quoted.

Cuts come from the content, so that an edit changes only the chunks around it. The *clearance* of a border is how far
the nearest border is that outranks it. A border is a cut when that is more than *reach* words: so cuts depend on
nothing further away, lie more than that apart, and a changed sentence makes at most two new ones, one on either side or
itself. Such cuts make no more than three chunks new, their overlaps included. Where too long a stretch is left, a
border inside with much clearance is cut as well. That happens to one stretch in sixty of real documents, and would now
and then make a fourth chunk new: there the cuts that the edit did not touch stay where they are (``rechunk``).
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
"""How many chunks one edited sentence makes new, at most."""


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
    """How long chunks are, in words (runs without white space, see ``borders.WORD_CHARS``).

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
    def min_distance(self) -> int:
        """How far, in words, a border must be the best one to be a cut: also the least a chunk has besides its overlap.

        It is a little more than the usual overlap, so that no chunk repeats words of the last but one; more than that
        would leave more stretches too long.
        """
        return max(1, self.max_words * 5 // 24)

    @property
    def segment(self) -> int:
        """At most so many words lie between two borders."""
        return max(1, self.max_words // 16)


_SplitStretch = Callable[[Sequence[int], Sequence[int], int, int, ChunkLimits], Iterable[int]]
"""Words and clearances of all borders, two cuts -> the cuts that the stretch between them needs."""

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
        pages: where its pages lie, ascending.
        sections: its headings, which make the strongest borders.
        limits: how long chunks may be.
    """
    if count_words(text) <= limits.max_words:
        return _build_chunks(text, pages, [(0, len(text))])
    borders = find_boundaries(text, sections, limits.segment)
    return _build_chunks(text, pages, _find_spans(borders, _find_cuts(borders, limits), limits))


@dataclass(frozen=True, slots=True)
class PreviousChunks:
    """How an earlier revision of a text was cut, by the same code.

    Attributes:
        text: all of it.
        spans: start and end of each chunk, in order.
    """

    text: str
    spans: Sequence[tuple[int, int]]

    def count_new(self, chunks: Sequence[Chunk]) -> int:
        """Return how many of these chunks say what no earlier one said."""
        had = {self.text[start:end] for start, end in self.spans}
        return sum(chunk.text not in had for chunk in chunks)

    def find_unaffected_cuts(self, text: str) -> list[int]:
        """Return the offsets in an edited text of the cuts that lie outside the edit."""
        before = _common_prefix_length(self.text, text)
        after = _common_prefix_length(self.text[before:][::-1], text[before:][::-1])
        cuts = [_skip_whitespace(self.text, end) for _, end in self.spans[:-1]]
        moved = len(text) - len(self.text)
        return [at if at <= before else at + moved for at in cuts if at <= before or at >= len(self.text) - after]


def rechunk(
    earlier: PreviousChunks,
    text: str,
    pages: Sequence[Page] = (),
    sections: Sequence[Section] = (),
    limits: ChunkLimits = DEFAULT_LIMITS,
) -> list[Chunk]:
    """Return the chunks of an edited text: those of ``chunk_text``, or as many previous ones as can be preserved.

    Cuts outside the edit are preserved only if at most ``MAX_NEW_CHUNKS`` chunks are new then and more would be new
    otherwise. So replacing, inserting or deleting a sentence of up to 400 words never makes more chunks new, and almost
    every text is cut as if it had no earlier revision.
    """
    chunks = chunk_text(text, pages, sections, limits)
    if earlier.count_new(chunks) <= MAX_NEW_CHUNKS:
        return chunks
    borders = find_boundaries(text, sections, limits.segment)
    kept = _build_chunks(
        text, pages, _find_spans(borders, _preserve_cuts(borders, earlier.find_unaffected_cuts(text), limits), limits)
    )
    return kept if earlier.count_new(kept) <= MAX_NEW_CHUNKS else chunks


def _common_prefix_length(text: str, other: str) -> int:
    """Return how many first characters two texts share."""
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


def _find_cuts(borders: Boundaries, limits: ChunkLimits) -> list[int]:
    """Return the borders at which chunks begin or end, as the content has them."""
    clearances = isolations(borders)
    best = [index for index in range(1, len(clearances) - 1) if clearances[index] > limits.min_distance]
    return _split_long_stretches(borders.words, clearances, [*best, len(clearances) - 1], _split_by_isolation, limits)


def _preserve_cuts(borders: Boundaries, offsets: Sequence[int], limits: ChunkLimits) -> list[int]:
    """Return the borders at which chunks begin or end: those at these offsets, and what else the limits need."""
    wanted = {*offsets, borders.offsets[-1]}
    kept = [index for index in range(1, len(borders.offsets)) if borders.offsets[index] in wanted]
    return _split_long_stretches(borders.words, isolations(borders), kept, _split_into_fewest, limits)


def _split_long_stretches(
    words: Sequence[int], clearances: Sequence[int], cuts: Sequence[int], between: _SplitStretch, limits: ChunkLimits
) -> list[int]:
    """Return the first border, these cuts, and those that a filling puts between them."""
    found = [0]
    for index in cuts:
        found.extend(between(words, clearances, found[-1], index, limits))
        found.append(index)
    return found


def _find_spans(borders: Boundaries, cuts: Sequence[int], limits: ChunkLimits) -> Iterator[tuple[int, int]]:
    """Yield start and end of each chunk, overlap included."""
    yield borders.offsets[0], borders.offsets[cuts[1]]
    for before, left, right in zip(cuts, cuts[1:], cuts[2:], strict=False):
        own_words = borders.words[right] - borders.words[left]
        start = _find_overlap_start(borders, before, left, limits.max_words - own_words, limits)
        yield borders.offsets[start], borders.offsets[right]


def _split_by_isolation(
    words: Sequence[int], clearances: Sequence[int], left: int, right: int, limits: ChunkLimits
) -> Iterator[int]:
    """Yield the cuts that a stretch between two cuts needs to keep to the limits; of equals the last.

    Where they are does not depend on how long the stretch is, so that its far end may move with an edit beyond it.
    """
    while words[right] - words[left] > limits.max_words:
        first = bisect_left(words, words[left] + limits.min_distance, left + 1, right)
        beyond = bisect_right(words, words[left] + max(limits.min_distance, limits.max_words * 2 // 3), first, right)
        left = max(range(first, beyond), key=lambda index: (clearances[index], index))
        yield left


def _split_into_fewest(
    words: Sequence[int], clearances: Sequence[int], left: int, right: int, limits: ChunkLimits
) -> Iterator[int]:
    """Yield the cuts that part a stretch between two cuts into no more chunks than any borders may need."""
    surely = limits.max_words - limits.segment + 1  # some border comes between so many words and the limit
    while (length := words[right] - words[left]) > limits.max_words:
        rest = (-(-length // surely) - 1) * surely
        first = bisect_left(words, words[left] + max(limits.min_distance, length - rest), left + 1, right)
        last = words[left] + min(limits.max_words, length - limits.min_distance)
        left = max(range(first, bisect_right(words, last, first, right)), key=lambda index: (clearances[index], index))
        yield left


def _find_overlap_start(borders: Boundaries, before: int, start: int, room: int, limits: ChunkLimits) -> int:
    """Return the border from which a chunk repeats what came before: a sentence's, or any if that one is too long.

    At least one word of the chunk before, whose own words begin at border ``before``, is not repeated. Where there is
    room for less than an overlap, it begins at a sentence or not at all.
    """
    words, overlap = borders.words, min(limits.overlap_words, room)
    first = max(bisect_left(words, words[start] - overlap, 0, start), bisect_right(words, words[before], 0, start))
    sentences = (index for index in range(first, start) if borders.strengths[index] >= BEFORE_SENTENCE)
    return next(sentences, first if overlap == limits.overlap_words else start)
