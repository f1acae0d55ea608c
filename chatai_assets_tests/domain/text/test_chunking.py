import random
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatai_assets.domain.documents import Page, Section
from chatai_assets.domain.text.boundaries import WORD_CHARS, count_words
from chatai_assets.domain.text.chunking import MAX_NEW_CHUNKS, Chunk, ChunkLimits, PreviousChunks, chunk_text, rechunk
from chatai_assets.domain.text.sentences import sentence_starts
from chatai_assets_tests.benchmarks.edits import (
    HUNDRED_PAGES,
    KINDS,
    PLACES,
    chunks_of,
    edit,
    order_by_rank,
    paragraphs,
    previous_chunks,
    sentence,
    slope,
    word,
)
from chatai_assets_tests.support.call_counter import count_calls


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_in_a_hundred_pages_changes_at_most_three_chunks(kind: str, place: str):
    dice = random.Random(f"{kind} {place}")
    for _ in range(2):
        document = paragraphs(dice, HUNDRED_PAGES, headings=place == "in a heading" or dice.random() < 0.5)
        before = previous_chunks(document, chunks_of(document))
        for _ in range(8):
            other = edit(document, kind, place, dice)
            chunks = chunks_of(other, before)
            assert 0 < before.count_new(chunks) <= MAX_NEW_CHUNKS
            after = previous_chunks(other, chunks)
            assert after.count_new(chunks_of(document, after)) <= MAX_NEW_CHUNKS


def test_an_edit_changes_no_more_chunks_where_every_sentence_outranks_the_next():
    dice = random.Random(7)
    document = slope(dice, HUNDRED_PAGES)
    earlier = previous_chunks(document, chunks_of(document))
    for kind in KINDS * 4:
        document = edit(document, kind, "anywhere", dice)
        chunks = chunks_of(document, earlier)
        assert 0 < earlier.count_new(chunks) <= MAX_NEW_CHUNKS
        assert all(count_words(chunk.text) <= 600 for chunk in chunks)
        earlier = previous_chunks(document, chunks)
    assert earlier.count_new(chunks_of(document)) > 20  # from its content alone it would be cut differently


def test_an_edit_changes_no_more_chunks_where_lines_begin_alike():
    lines = [
        f"Артикул и наименование товара по каталогу поставщика: {number}, цена {number}." for number in range(3_000)
    ]
    before = {chunk.text for chunk in chunk_text("\n".join(lines))}
    for at in range(10, 3_000, 299):
        for other in ([], [f"Ещё {at}."]):
            after = {chunk.text for chunk in chunk_text("\n".join([*lines[:at], *other, *lines[at + 1 :]]))}
            assert len(after - before) <= 3


@pytest.mark.scenario
@settings(max_examples=300, deadline=None)
@given(longest=st.sampled_from([5, 32]), step=st.sampled_from([1, -1, 2, -2]), seed=st.integers(0, 2**32))
def test_edits_of_a_text_that_is_hard_to_cut_change_at_most_three_chunks_each(longest: int, step: int, seed: int):
    limits = ChunkLimits(48, 9)
    dice = random.Random(seed)
    lengths = [dice.randint(1, longest) for _ in range(800 // longest)]
    pool = [" ".join(word(dice) for _ in range(length)).capitalize() + "." for length in lengths]
    sentences = order_by_rank(pool)[::step]
    text = " ".join(sentences)
    chunks = chunk_text(text, limits=limits)
    for _ in range(10):
        earlier = PreviousChunks(text, [(chunk.start, chunk.end) for chunk in chunks])
        at = dice.randrange(len(sentences))
        sentences[at : at + dice.randint(0, 1)] = dice.sample(pool, dice.randint(0, 1))
        text = " ".join(sentences)
        chunks = rechunk(earlier, text, limits=limits)
        assert earlier.count_new(chunks) <= MAX_NEW_CHUNKS
        assert_slices(chunks, text, limits)


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
    assert_slices(chunk_text(text, sections=sections, limits=limits), text, limits)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, other=TEXTS, limits=LIMITS, edit=st.tuples(st.integers(0, 300), st.integers(0, 40), WORDS))
def test_so_are_chunks_of_an_edited_text(text: str, other: str, limits: ChunkLimits, edit: tuple[int, int, str]):
    at, length, word = edit
    for before in (other, text[:at] + word + text[at + length :]):
        earlier = PreviousChunks(before, [(chunk.start, chunk.end) for chunk in chunk_text(before, limits=limits)])
        assert_slices(rechunk(earlier, text, limits=limits), text, limits)


def assert_slices(chunks: Sequence[Chunk], text: str, limits: ChunkLimits) -> None:
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    covered = [False] * len(text)
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert len(chunk.text.split()) <= count_words(chunk.text) <= limits.max_words
        covered[chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
    assert all(done or character.isspace() for done, character in zip(covered, text, strict=True))
    assert all(left.start < right.start and left.end < right.end for left, right in pairwise(chunks))


@given(st.lists(WORDS, max_size=60))
def test_a_short_text_is_one_chunk(words: list[str]):
    text = "\n\n".join(words)
    assert [chunk.text for chunk in chunk_text(text)] == ([text.strip()] if text.strip() else [])


def test_chunks_begin_at_sentences_and_repeat_about_120_words():
    text = "\n\n".join(" ".join(one.sentences) for one in paragraphs(random.Random(5), 20_000, headings=False))
    starts = {0, *sentence_starts(text)}
    chunks = chunk_text(text)
    assert all(chunk.start in starts for chunk in chunks)
    overlaps = [len(text[right.start : left.end].split()) for left, right in pairwise(chunks)]
    full = [len(chunk.text.split()) > 600 - 25 for chunk in chunks[1:]]
    assert all(95 <= overlap <= 120 or full for overlap, full in zip(overlaps, full, strict=True))
    assert sum(full) < len(chunks) / 10


@pytest.mark.parametrize("seed", range(20))
def test_chunks_of_a_long_text_have_enough_words_without_overlap(seed: int):
    dice = random.Random(seed)
    lengths = [dice.randint(1, 60) for _ in range(dice.randint(30, 200))]
    text = " ".join(" ".join(str(dice.random()) for _ in range(length)) + ". А" for length in lengths)
    ends = [0, *(chunk.end for chunk in chunk_text(text))]
    assert len(ends) > 2
    assert min(count_words(text[left:right]) for left, right in pairwise(ends)) >= 125


def test_tiny_sections_are_merged_and_a_heading_stays_with_its_text():
    titles = [f"Раздел {number}" for number in range(200)]
    body = "Слово за словом идёт рассказ. " * 6
    text, sections = "", []
    for title in titles:
        sections.append(Section(2, title, len(text)))
        text += f"{title}\n\n{body.strip()}\n\n"
    chunks = chunk_text(text, sections=sections, limits=ChunkLimits(600, 0))
    assert len(chunks) <= 40
    assert all(chunk.text.startswith("Раздел") for chunk in chunks)
    assert not any(chunk.text.splitlines()[-1].startswith("Раздел") for chunk in chunks)


def test_a_chunk_names_the_page_it_starts_on():
    page_texts = [" ".join(sentence(random.Random(number)) for _ in range(40)) + "\n\n" for number in range(5)]
    pages, at = [], 0
    for number, page_text in enumerate(page_texts, 1):
        pages.append(Page(number, at, at + len(page_text)))
        at += len(page_text)
    chunks = chunk_text("".join(page_texts), pages=pages)
    assert len(chunks) > 3
    for chunk in chunks:
        page = pages[(chunk.page or 0) - 1]
        assert page.start <= chunk.start < page.end
    assert chunk_text("слово")[0].page is None


@pytest.mark.timeout(120)  # work that grows with the square of the length would take hours
@pytest.mark.parametrize(
    "text",
    ["я" * 2_000_000, "слово " * 330_000, ". " * 500_000, "\n" * 2_000_000 + "a", "a\n" * 500_000],
    ids=["no space", "no sentence", "dots", "empty lines", "one letter lines"],
)
def test_a_text_without_structure_is_cut_in_bounded_time(text: str):
    chunks = chunk_text(text)
    assert chunks[-1].end == len(text.rstrip())
    assert all(count_words(chunk.text) <= 600 for chunk in chunks)
    short, double = (count_calls(partial(chunk_text, text[:chars])) for chars in (40_000, 80_000))
    assert double < 2.5 * short + 1_000


def test_a_long_url_is_not_cut_and_counts_as_several_words():
    address = "https://example.org/" + "a" * 5 * WORD_CHARS
    assert count_words(f"см. {address} там") == 8
    assert any(address in chunk.text for chunk in chunk_text(f"{'слово ' * 700}{address} {'слово ' * 700}"))


def test_limits_that_leave_no_room_are_refused():
    with pytest.raises(ValueError, match="leaves no room"):
        ChunkLimits(max_words=100, overlap_words=100)
