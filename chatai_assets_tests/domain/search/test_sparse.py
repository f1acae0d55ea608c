from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.search.sparse import query_terms, sparse_terms, term_id, windows

STEMS = st.lists(st.text(min_size=1, max_size=8))


@given(STEMS)
def test_term_ids_ascend_and_each_has_a_positive_weight(stems: list[str]):
    ids, weights = sparse_terms(stems)
    assert ids == sorted(set(ids))
    assert len(ids) == len(weights)
    assert all(0 <= i < 2**32 for i in ids)
    assert all(weight > 0 for weight in weights)


@given(STEMS)
def test_the_order_of_words_does_not_matter(stems: list[str]):
    assert sparse_terms(stems) == sparse_terms(stems[::-1])


def test_the_id_of_a_stem_is_its_standard_crc32():
    assert term_id("123456789") == 0xCBF43926  # the check value of the CRC catalogue


def test_a_repeated_word_counts_more_but_never_without_bound():
    once, often = (dict(zip(*sparse_terms(["кит"] * n + ["море"] * (100 - n)), strict=True)) for n in (1, 99))
    assert once[term_id("кит")] < often[term_id("кит")] < 2.2


def test_a_word_weighs_less_in_a_longer_text():
    short, long = sparse_terms(["кит"]), sparse_terms(["кит", *map(str, range(300))])
    assert short[1][0] > long[1][long[0].index(term_id("кит"))]


def test_a_query_has_each_word_once():
    ids, weights = query_terms(["кит", "море", "кит"])
    assert ids == sorted({term_id("кит"), term_id("море")})
    assert weights == [1.0, 1.0]


@given(st.text(alphabet="аб \n", max_size=400), st.integers(1, 20))
def test_windows_joined_are_the_text_and_never_too_long(text: str, words: int):
    cut = windows(text, words)
    assert "".join(cut) == text
    assert all(len(window.split()) <= words * 1.5 for window in cut)
    assert len(cut) == 1 or all(window.split() for window in cut)


def test_windows_have_equal_length():
    assert [len(window.split()) for window in windows("слово " * 460)] == [92] * 5
