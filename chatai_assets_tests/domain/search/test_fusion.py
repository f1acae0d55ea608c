from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.search.fusion import LEADERS, Candidate, fuse

SCORES = st.tuples(
    st.floats(-1, 1, allow_nan=False), st.floats(0, 60, allow_nan=False), st.sampled_from(["ru", "en", ""])
)
CANDIDATES = st.lists(SCORES, max_size=30).map(
    lambda rows: [Candidate(str(n), dense, lexical, language) for n, (dense, lexical, language) in enumerate(rows)]
)


@given(CANDIDATES, st.integers(0, 20))
def test_every_candidate_has_one_place_and_scores_never_rise(candidates: list[Candidate], words: int):
    ranking = fuse(candidates, words)
    scores = [score for _, score in ranking]
    assert sorted(key for key, _ in ranking) == sorted(candidate.key for candidate in candidates)
    assert scores == sorted(scores, reverse=True)


@given(CANDIDATES, st.integers(0, 20))
def test_the_order_of_candidates_does_not_matter(candidates: list[Candidate], words: int):
    assert fuse(candidates, words) == fuse(candidates[::-1], words)


def test_words_decide_between_texts_of_similar_meaning():
    ranking = fuse([Candidate("near", 0.50, 0.0), Candidate("named", 0.45, 8.0)], words=4)
    assert ranking[0][0] == "named"


def test_one_chance_word_of_many_does_not_beat_meaning():
    ranking = fuse([Candidate("near", 0.60, 0.0), Candidate("chance", 0.30, 5.0)], words=10)
    assert ranking[0][0] == "near"


def test_below_the_leaders_another_language_competes_by_meaning():
    own = [Candidate(f"ru{n:02}", 0.4, 20.0, "ru") for n in range(20)]
    ranking = fuse([*own, Candidate("en", 0.5, 0.0, "en")], words=5)
    assert [key for key, _ in ranking].index("en") == LEADERS
