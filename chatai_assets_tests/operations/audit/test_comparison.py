"""Two looks at two sets: what differs both times in the same way is told, with texts, and nothing else is."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatai_assets.operations.audit import digests
from chatai_assets.operations.audit.comparison import Expected, FoundPart, comparison

PARTS = [f"Tag t|tag|{number}" for number in range(12)]
expectations = st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from(["a", "b", "c", None])))
findings = st.dictionaries(st.sampled_from(PARTS), st.sampled_from("abc"))


def look(expected, found, suspected=None):
    """Return which parts differ and, where some are suspected, how: kind, part, expected, found."""
    with comparison(suspected) as looking:
        looking.expect(Expected(part, "t", "tg/1/1", content) for part, content in expected)
        if suspected is None:
            assert looking.expected() == len({part for part, _ in expected})
        assert looking.find(FoundPart(part, "t", "tg/1/1", content) for part, content in found) == len(found)
        pages = [] if suspected is None else looking.differences()
        told = [(each.kind, each.part, each.expected, each.found) for page in pages for each in page]
        return looking.differing(), told


def by_rule(expected, found):
    """Return the differences of two sets as they are meant."""
    wanted = defaultdict(set)
    for part, content in expected:
        wanted[part].add(content)
    sure = {part: contents for part, contents in wanted.items() if None not in contents}
    missing = [("missing", part, min(sure[part]), "") for part in sure.keys() - found.keys()]
    extra = [("extra", part, "", found[part]) for part in found.keys() - wanted.keys()]
    both = sure.keys() & found.keys()
    changed = [("changed", part, min(sure[part]), found[part]) for part in both if found[part] not in sure[part]]
    return sorted(missing + extra + changed)


@settings(deadline=None)
@given(expected=expectations, found=findings, block=st.integers(1, 5))
def test_all_that_differs_is_found_and_nothing_else(expected, found, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "BUFFERED_PAIRS", block)
        suspected, _ = look(expected, [*found.items()])
        _, told = look(expected, [*found.items()], suspected)
    assert told == by_rule(expected, found)
    assert len(suspected) == len(told)


def test_no_part_is_lost_between_portions_pages_and_blocks(monkeypatch):
    monkeypatch.setattr(digests, "BUFFERED_PAIRS", 700)
    parts = [(f"Tag t|tag|{number}", "a") for number in range(5_000)]
    suspected, _ = look(parts, parts[1:])
    assert look(parts, parts[1:], suspected)[1] == [("missing", parts[0][0], "a", "")]
    assert len(look(parts, [])[0]) == len(look([], parts)[0]) == len(parts)
    assert len(look(parts, parts)[0]) == 0


def test_contents_that_changed_places_do_not_cancel_each_other():
    one, other = PARTS[:2]
    suspected, _ = look([(one, "a"), (other, "b")], [(one, "b"), (other, "a")])
    assert len(suspected) == 2


@pytest.mark.parametrize(
    ("expected", "found"),
    [([], "b"), (["a"], None), (["a"], "c"), (["c"], "b"), (["a", "c"], "b"), (["a", None], "b"), (["b"], "b")],
    ids=["extra", "missing", "found otherwise", "expected otherwise", "expected besides", "under way", "mended"],
)
def test_what_differs_otherwise_the_second_time_is_not_told(expected, found):
    part = PARTS[0]
    suspected, _ = look([(part, "a")], [(part, "b")])
    assert look([(part, "a")], [(part, "b")], suspected)[1] == [("changed", part, "a", "b")]
    again = [(part, content) for content in expected]
    assert look(again, [(part, found)] if found else [], suspected)[1] == []


def test_what_differs_the_second_time_alone_is_not_told():
    suspected, _ = look([(PARTS[0], "a")], [])
    assert look([], [(PARTS[1], "a")], suspected)[1] == []
