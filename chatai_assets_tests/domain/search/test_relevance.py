import pytest

from chatai_assets.domain.search.relevance import TOLERANCE, Figures, compute_figures, find_rank, regressions


def test_a_source_that_stands_twice_takes_one_place():
    assert find_rank("b", ["a", "a", "b"]) == 2
    assert find_rank("c", ["a", "a", "b"]) is None


def test_what_comes_after_the_first_ten_was_not_found():
    assert compute_figures([1, 2, 11, None]) == Figures(0.5, 0.375)
    assert compute_figures([]) == Figures(0.0, 0.0)


@pytest.mark.parametrize(("lost", "told"), [(TOLERANCE / 2, 0), (TOLERANCE * 2, 1), (-0.5, 0)])
def test_only_what_is_worse_by_more_than_the_tolerance_is_told(lost, told):
    before, after = {"words": Figures(0.5, 0.4)}, {"words": Figures(0.5 - lost, 0.4)}
    assert len(regressions(before, after)) == told


def test_each_way_of_asking_is_told_by_itself():
    before = {"words": Figures(0.9, 0.8), "meaning": Figures(0.9, 0.8)}
    after = {"words": Figures(0.9, 0.8), "meaning": Figures(0.1, 0.0)}
    assert regressions(before, after) == [
        "recall@10 by meaning 0.90 -> 0.10",
        "mean reciprocal rank by meaning 0.80 -> 0.00",
    ]
