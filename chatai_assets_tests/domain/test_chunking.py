import random
import time
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatai_assets.domain.chunking import WORD_CHARS, ChunkLimits, cut, words_of
from chatai_assets.domain.documents import Page, Section
from chatai_assets.domain.language import word_set
from chatai_assets.domain.sentences import sentence_starts

SYLLABLES = sorted(
    word_set("ко ра ми тель ство но за пере вод ник лес дом ве чер со бра ни е an ter pro con ing ly st")
)


@dataclass(frozen=True)
class Paragraph:
    sentences: tuple[str, ...]
    heading: bool = False


def word(dice: random.Random) -> str:
    return "".join(dice.choice(SYLLABLES) for _ in range(dice.randint(1, 4)))


def sentence(dice: random.Random) -> str:
    return " ".join(word(dice) for _ in range(dice.randint(4, 25))).capitalize() + "."


def paragraphs(dice: random.Random, words: int, *, headings: bool) -> list[Paragraph]:
    made: list[Paragraph] = []
    while words > 0:
        if headings and dice.random() < 0.2:
            made.append(Paragraph((word(dice).capitalize(),), heading=True))
        made.append(Paragraph(tuple(sentence(dice) for _ in range(dice.randint(1, 12)))))
        words -= sum(len(one.split()) for one in made[-1].sentences)
    return made


def texts_of(document: list[Paragraph]) -> list[str]:
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


def edited(document: list[Paragraph], kind: str, dice: random.Random) -> list[Paragraph]:
    at = dice.choice([index for index, paragraph in enumerate(document) if not paragraph.heading])
    if kind == "deleted paragraph":
        return document[:at] + document[at + 1 :]
    sentences = list(document[at].sentences)
    where = dice.randrange(len(sentences))
    sentences[where : where + (kind == "changed sentence")] = [sentence(dice)]
    return [*document[:at], replace(document[at], sentences=tuple(sentences)), *document[at + 1 :]]


@pytest.mark.parametrize("headings", [False, True], ids=["plain", "with headings"])
@pytest.mark.parametrize("kind", ["changed sentence", "inserted sentence", "deleted paragraph"])
def test_an_edit_in_a_hundred_pages_changes_at_most_three_chunks(kind: str, *, headings: bool):
    dice = random.Random(f"{kind} {headings}")
    document = paragraphs(dice, words=30_000, headings=headings)
    before = set(texts_of(document))
    for _ in range(12):
        after = set(texts_of(edited(document, kind, dice)))
        assert len(after - before) <= 3
        assert len(before - after) <= 3


LIMITS = st.tuples(st.integers(1, 40), st.floats(0, 0.9)).map(lambda pair: ChunkLimits(pair[0], int(pair[0] * pair[1])))
WORDS = st.text(alphabet="аБв.,!?…1»(\u00a0x\U0001f600", max_size=12)
TEXTS = st.one_of(
    st.lists(st.tuples(WORDS, st.sampled_from([" ", "\n", "\n\n", " \n \n", "  ", ""])), max_size=120).map(
        lambda pairs: "".join(word + gap for word, gap in pairs)
    ),
    st.text(max_size=300),
)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, limits=LIMITS, data=st.data())
def test_chunks_are_slices_that_cover_the_text(text: str, limits: ChunkLimits, data: st.DataObject):
    at = st.lists(st.integers(0, max(0, len(text) - 1)), max_size=5)
    sections = [Section(1, "", start) for start in sorted(data.draw(at))]
    chunks = cut(text, sections=sections, limits=limits)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    covered = [False] * len(text)
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert len(chunk.text.split()) <= words_of(chunk.text) <= limits.max_words
        covered[chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
    assert all(done or character.isspace() for done, character in zip(covered, text, strict=True))
    assert all(left.start < right.start and left.end < right.end for left, right in pairwise(chunks))


@given(st.lists(WORDS, max_size=60))
def test_a_short_text_is_one_chunk(words: list[str]):
    text = "\n\n".join(words)
    assert [chunk.text for chunk in cut(text)] == ([text.strip()] if text.strip() else [])


def test_chunks_begin_at_sentences_and_repeat_about_120_words():
    text = "\n\n".join(" ".join(one.sentences) for one in paragraphs(random.Random(5), 20_000, headings=False))
    starts = {0, *sentence_starts(text)}
    chunks = cut(text)
    assert all(chunk.start in starts for chunk in chunks)
    overlaps = [len(text[right.start : left.end].split()) for left, right in pairwise(chunks)]
    assert all(95 <= overlap <= 120 for overlap in overlaps)


def test_tiny_sections_are_merged_and_a_heading_stays_with_its_text():
    titles = [f"Раздел {number}" for number in range(200)]
    body = "Слово за словом идёт рассказ. " * 6
    text, sections = "", []
    for title in titles:
        sections.append(Section(2, title, len(text)))
        text += f"{title}\n\n{body.strip()}\n\n"
    chunks = cut(text, sections=sections, limits=ChunkLimits(600, 0))
    assert len(chunks) <= 40
    assert all(chunk.text.startswith("Раздел") for chunk in chunks)
    assert not any(chunk.text.splitlines()[-1].startswith("Раздел") for chunk in chunks)


def test_a_chunk_names_the_page_it_starts_on():
    page_texts = [" ".join(sentence(random.Random(number)) for _ in range(40)) + "\n\n" for number in range(5)]
    pages, at = [], 0
    for number, page_text in enumerate(page_texts, 1):
        pages.append(Page(number, at, at + len(page_text)))
        at += len(page_text)
    chunks = cut("".join(page_texts), pages=pages)
    assert len(chunks) > 3
    for chunk in chunks:
        page = pages[(chunk.page or 0) - 1]
        assert page.start <= chunk.start < page.end
    assert cut("слово")[0].page is None


@pytest.mark.parametrize(
    "text",
    ["я" * 2_000_000, "слово " * 330_000, ". " * 500_000, "\n" * 2_000_000 + "a", "a\n" * 500_000],
    ids=["no space", "no sentence", "dots", "empty lines", "one letter lines"],
)
def test_a_text_without_structure_is_cut_in_bounded_time(text: str):
    started = time.monotonic()
    chunks = cut(text)
    assert time.monotonic() - started < 10
    assert chunks[-1].end == len(text.rstrip())
    assert all(words_of(chunk.text) <= 600 for chunk in chunks)


def test_a_long_address_is_one_piece_and_counts_as_several_words():
    address = "https://example.org/" + "a" * 5 * WORD_CHARS
    assert words_of(f"см. {address} там") == 8
    assert any(address in chunk.text for chunk in cut(f"{'слово ' * 700}{address} {'слово ' * 700}"))


def test_limits_that_leave_no_room_are_refused():
    with pytest.raises(ValueError, match="leaves no room"):
        ChunkLimits(max_words=100, overlap_words=100)
