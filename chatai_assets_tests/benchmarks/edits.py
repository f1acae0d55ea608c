"""How many chunks of a long document are new after one of its sentences was edited.

``python -m chatai_assets_tests.benchmarks edits --documents 20 --edits 300 --seed 1``

A sentence, or a heading, is replaced, inserted or deleted: the first, the last, or any; then that is undone. Every
third document is the worst that cutting by content knows: its sentences stand in the order of their ranks.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

from rich.console import Console
from rich.table import Table

from chatai_assets.domain.documents import Section
from chatai_assets.domain.text.boundaries import find_boundaries
from chatai_assets.domain.text.chunking import DEFAULT_LIMITS, Chunk, PreviousChunks, chunk_text, rechunk
from chatai_assets.domain.text.language import word_set

SYLLABLES = sorted(
    word_set("ко ра ми тель ство но за пере вод ник лес дом ве чер со бра ни е an ter pro con ing ly st")
)
KINDS = ("replaced", "inserted", "deleted")
PLACES = ("anywhere", "at the start", "at the end", "in a heading")
HUNDRED_PAGES = 30_000
"""Words."""
MANY = 10


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, or a heading, which is one of a single sentence."""

    sentences: tuple[str, ...]
    heading: bool = False


def word(dice: random.Random) -> str:
    """Return a word that sounds like one."""
    return "".join(dice.choice(SYLLABLES) for _ in range(dice.randint(1, 4)))


def sentence(dice: random.Random) -> str:
    """Return a sentence of 4 to 25 words."""
    return " ".join(word(dice) for _ in range(dice.randint(4, 25))).capitalize() + "."


def heading(dice: random.Random) -> Paragraph:
    """Return a heading."""
    return Paragraph((" ".join(word(dice) for _ in range(2)).capitalize(),), heading=True)


def paragraphs(dice: random.Random, words: int, *, headings: bool) -> list[Paragraph]:
    """Return a document of so many words."""
    made: list[Paragraph] = []
    while words > 0:
        if headings and dice.random() < 0.2:
            made.append(heading(dice))
        made.append(Paragraph(tuple(sentence(dice) for _ in range(dice.randint(1, 12)))))
        words -= sum(len(one.split()) for one in made[-1].sentences)
    return made


def slope(dice: random.Random, words: int) -> list[Paragraph]:
    """Return a document of so many words, of sentences of ten, each of which outranks the next."""
    sentences = [" ".join(word(dice) for _ in range(10)).capitalize() + "." for _ in range(words // 10)]
    return [Paragraph(tuple(order_by_rank(sentences)))]


def order_by_rank(sentences: Sequence[str]) -> list[str]:
    """Return sentences in the order of the ranks of the borders before them, the best first.

    Those are left out at whose start or end there is no border: they end with an abbreviation, or come after one.
    """
    borders = find_boundaries(" ".join(["Начало.", *sentences, ""]), (), DEFAULT_LIMITS.segment)
    ranks = dict(zip(borders.offsets, borders.ranks, strict=True))
    places = pairwise(accumulate((len(one) + 1 for one in sentences), initial=len("Начало. ")))
    rank_of = {one: ranks[at] for one, (at, end) in zip(sentences, places, strict=True) if {at, end} <= ranks.keys()}
    return sorted(rank_of, key=rank_of.__getitem__, reverse=True)


def lay_out(document: Sequence[Paragraph]) -> tuple[str, list[Section]]:
    """Return the text and the sections of a document."""
    blocks = [" ".join(paragraph.sentences) for paragraph in document]
    starts = [0]
    for block in blocks:
        starts.append(starts[-1] + len(block) + 2)
    pairs = zip(blocks, starts, document, strict=False)
    sections = [Section(1, block, start) for block, start, paragraph in pairs if paragraph.heading]
    return "\n\n".join(blocks), sections


def chunks_of(document: Sequence[Paragraph], earlier: PreviousChunks | None = None) -> list[Chunk]:
    """Return the chunks of a document that may have been cut before."""
    text, sections = lay_out(document)
    return rechunk(earlier, text, sections=sections) if earlier else chunk_text(text, sections=sections)


def previous_chunks(document: Sequence[Paragraph], chunks: Sequence[Chunk]) -> PreviousChunks:
    """Return how a document was cut."""
    return PreviousChunks(lay_out(document)[0], [(chunk.start, chunk.end) for chunk in chunks])


def edit(document: Sequence[Paragraph], kind: str, place: str, dice: random.Random) -> list[Paragraph]:
    """Return a document of which one sentence, or one heading, is another.

    Args:
        kind: one of ``KINDS``.
        place: one of ``PLACES``.
    """
    if place == "in a heading":
        return _change_heading(document, kind, dice)
    bodies = [index for index, paragraph in enumerate(document) if not paragraph.heading]
    at = {"at the start": bodies[0], "at the end": bodies[-1]}.get(place, dice.choice(bodies))
    sentences = list(document[at].sentences)
    where = {"at the start": 0, "at the end": len(sentences) - 1}.get(place, dice.randrange(len(sentences)))
    after = place == "at the end" and kind == "inserted"
    sentences[where + after : where + (kind != "inserted")] = [] if kind == "deleted" else [sentence(dice)]
    changed = [replace(document[at], sentences=tuple(sentences))] if sentences else []
    return [*document[:at], *changed, *document[at + 1 :]]


def _change_heading(document: Sequence[Paragraph], kind: str, dice: random.Random) -> list[Paragraph]:
    wanted = kind != "inserted"
    at = dice.choice([index for index, paragraph in enumerate(document) if paragraph.heading == wanted])
    return [*document[:at], *([] if kind == "deleted" else [heading(dice)]), *document[at + wanted :]]


@dataclass
class Findings:
    """What edits came to.

    Attributes:
        new: kind, place and number of new chunks -> how often.
        alone: the number there would be if cuts came from the content alone -> how often.
    """

    new: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    alone: Counter[int] = field(default_factory=Counter)

    def together(self) -> Counter[int]:
        """Return number of new chunks -> how often."""
        found: Counter[int] = Counter()
        for (_, _, new), times in self.new.items():
            found[new] += times
        return found


def measure(documents: int, edits: int, seed: int) -> Findings:
    """Edit documents, each time as it was at first, and undo each edit."""
    found = Findings()
    dice = random.Random(seed)
    for number in range(documents):
        headings = number % 3 == 1
        document = slope(dice, HUNDRED_PAGES) if number % 3 == 2 else paragraphs(dice, HUNDRED_PAGES, headings=headings)
        first = previous_chunks(document, chunks_of(document))
        for each in range(edits // 2):
            kind, place = KINDS[each % 3], PLACES[(each // 3) % (3 + headings)]
            other = edit(document, kind, place, dice)
            then = _count(found, first, other, kind, place)
            _count(found, then, document, f"{kind}, undone", place)
    return found


def _count(
    found: Findings, earlier: PreviousChunks, document: Sequence[Paragraph], kind: str, place: str
) -> PreviousChunks:
    chunks = chunks_of(document, earlier)
    found.new[kind, place, earlier.count_new(chunks)] += 1
    found.alone[min(earlier.count_new(chunks_of(document)), MANY)] += 1
    return previous_chunks(document, chunks)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--edits", type=int, default=300, help="of each document")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    found = measure(given.documents, given.edits, given.seed)
    counts = range(max(*found.together(), *found.alone) + 1)
    columns = [f"{count}{' or more' if count == MANY else ''}" for count in counts]
    title = f"New chunks of {HUNDRED_PAGES:,} words, of {found.alone.total():,} edits"
    table = Table("edit", "where", *columns, title=title)
    for kind, place in sorted({(kind, place) for kind, place, _ in found.new}):
        table.add_row(kind, place, *(str(found.new[kind, place, count]) for count in counts))
    table.add_row("together", "", *(str(found.together()[count]) for count in counts), style="bold")
    table.add_row("if cut by content alone", "", *(str(found.alone[count]) for count in counts))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
