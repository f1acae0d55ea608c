import pytest

from chatai_assets.domain.search.relevance import TOLERANCE, Figures, compute_figures, find_rank, regressions


def test_a_source_that_occurs_twice_has_one_rank():
    assert find_rank("b", ["a", "a", "b"]) == 2
    assert find_rank("c", ["a", "a", "b"]) is None


def test_results_after_the_first_ten_count_as_not_found():
    assert compute_figures([1, 2, 11, None]) == Figures(0.5, 0.375)
    assert compute_figures([]) == Figures(0.0, 0.0)


@pytest.mark.parametrize(("lost", "told"), [(TOLERANCE / 2, 0), (TOLERANCE * 2, 1), (-0.5, 0)])
def test_only_decreases_above_the_tolerance_are_regressions(lost, told):
    before, after = {"words": Figures(0.5, 0.4)}, {"words": Figures(0.5 - lost, 0.4)}
    assert len(regressions(before, after)) == told


def test_each_mode_is_compared_separately():
    before = {"words": Figures(0.9, 0.8), "meaning": Figures(0.9, 0.8)}
    after = {"words": Figures(0.9, 0.8), "meaning": Figures(0.1, 0.0)}
    assert regressions(before, after) == [
        "recall@10 by meaning 0.90 -> 0.10",
        "mean reciprocal rank by meaning 0.80 -> 0.00",
    ]
