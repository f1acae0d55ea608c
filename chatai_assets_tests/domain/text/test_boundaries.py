"""Boundaries cover a text, and the isolation of each is the distance to the next better one."""

from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.text.boundaries import WORD_CHARS, count_words, find_boundaries, isolations


@given(st.text("аб. ,\n", max_size=200), st.integers(1, 10))
def test_boundaries_ascend_from_the_start_to_the_end_and_are_close_enough(text: str, segment: int):
    found = find_boundaries(text, (), segment)
    assert (found.offsets[0], found.offsets[-1]) == (0, len(text))
    assert found.offsets == sorted(found.offsets)
    assert all(right - left <= segment for left, right in zip(found.words, found.words[1:], strict=False))


@given(st.text("аб. ,\n", max_size=200))
def test_isolation_is_the_distance_in_words_to_the_nearest_better_boundary(text: str):
    found = find_boundaries(text, (), 5)
    for index, isolation in enumerate(isolations(found)[1:-1], 1):
        better = [
            abs(words - found.words[index])
            for other, (words, rank) in enumerate(zip(found.words, found.ranks, strict=True))
            if rank > found.ranks[index] or (rank == found.ranks[index] and other < index)
        ]
        assert isolation == min(better)


def test_a_very_long_word_counts_as_several():
    assert count_words("слово " + "a" * (2 * WORD_CHARS + 1)) == 4
