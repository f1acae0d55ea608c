"""How many chunks of a long document are new after one of its sentences was edited.

``python -m chatai_assets_tests.benchmarks edits --documents 20 --edits 300 --seed 1``

A sentence, or a heading, is replaced, inserted or deleted: the first, the last, or any.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from chatai_assets.domain.chunking import cut
from chatai_assets.domain.documents import Section
from chatai_assets.domain.language import word_set

SYLLABLES = sorted(
    word_set("ко ра ми тель ство но за пере вод ник лес дом ве чер со бра ни е an ter pro con ing ly st")
)
KINDS = ("replaced", "inserted", "deleted")
PLACES = ("anywhere", "at the start", "at the end", "in a heading")
HUNDRED_PAGES = 30_000
"""Words."""


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


def texts_of(document: Sequence[Paragraph]) -> list[str]:
    """Return the texts of a document's chunks."""
    blocks = [" ".join(paragraph.sentences) for paragraph in document]
    starts = [0]
    for block in blocks:
        starts.append(starts[-1] + len(block) + 2)
    sections = [
        Section(1, block, start)
        for block, start, paragraph in zip(blocks, starts, document, strict=False)
        if paragraph.heading
    ]
    return [chunk.text for chunk in cut("\n\n".join(blocks), sections=sections)]


def edited(document: Sequence[Paragraph], kind: str, place: str, dice: random.Random) -> list[Paragraph]:
    """Return a document of which one sentence, or one heading, is another.

    Args:
        kind: one of ``KINDS``.
        place: one of ``PLACES``.
    """
    if place == "in a heading":
        return _with_other_heading(document, kind, dice)
    bodies = [index for index, paragraph in enumerate(document) if not paragraph.heading]
    at = {"at the start": bodies[0], "at the end": bodies[-1]}.get(place, dice.choice(bodies))
    sentences = list(document[at].sentences)
    where = {"at the start": 0, "at the end": len(sentences) - 1}.get(place, dice.randrange(len(sentences)))
    after = place == "at the end" and kind == "inserted"
    sentences[where + after : where + (kind != "inserted")] = [] if kind == "deleted" else [sentence(dice)]
    changed = [replace(document[at], sentences=tuple(sentences))] if sentences else []
    return [*document[:at], *changed, *document[at + 1 :]]


def _with_other_heading(document: Sequence[Paragraph], kind: str, dice: random.Random) -> list[Paragraph]:
    wanted = kind != "inserted"
    at = dice.choice([index for index, paragraph in enumerate(document) if paragraph.heading == wanted])
    return [*document[:at], *([] if kind == "deleted" else [heading(dice)]), *document[at + wanted :]]


def measure(documents: int, edits: int, seed: int) -> Counter[tuple[str, str, int]]:
    """Return how often an edit of a kind at a place made so many chunks new, and the same for its undoing."""
    found: Counter[tuple[str, str, int]] = Counter()
    dice = random.Random(seed)
    for number in range(documents):
        headings = bool(number % 2)
        document = paragraphs(dice, HUNDRED_PAGES, headings=headings)
        before = set(texts_of(document))
        for each in range(edits // 2):
            kind, place = KINDS[each % 3], PLACES[(each // 3) % (3 + headings)]
            after = set(texts_of(edited(document, kind, place, dice)))
            found[kind, place, len(after - before)] += 1
            found[f"{kind}, undone", place, len(before - after)] += 1
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--edits", type=int, default=300, help="of each document")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    found = measure(given.documents, given.edits, given.seed)
    most = max(count for _, _, count in found)
    columns = [str(count) for count in range(most + 1)]
    table = Table("edit", "where", *columns, title=f"New chunks of {HUNDRED_PAGES:,} words, of {found.total():,} edits")
    for kind, place in sorted({(kind, place) for kind, place, _ in found}):
        table.add_row(kind, place, *(str(found[kind, place, count]) for count in range(most + 1)))
    together = (sum(times for (_, _, new), times in found.items() if new == count) for count in range(most + 1))
    table.add_row("together", "", *map(str, together), style="bold")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
