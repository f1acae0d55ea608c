"""Untrusted JSON values are converted or absent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.json_values import MAX_SECONDS, array, integer, mapping, moment, string

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(JSON)
def test_every_accessor_returns_its_type_for_any_value(value):
    assert isinstance(mapping(value), dict)
    assert isinstance(array(value), list)
    assert isinstance(string(value), str)
    assert isinstance(integer(value), int | None)
    seconds = moment(value)
    assert seconds is None or 0 < seconds <= MAX_SECONDS


@pytest.mark.parametrize(
    ("value", "number"),
    [(57, 57), ("57", 57), (" -57 ", -57), (57.0, 57), ("57.0", 57), (True, None), (5.5, None), ("9" * 21, None)],
)
def test_integers_are_read_however_they_are_written(value, number):
    assert integer(value) == number


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1733302828, 1733302828),
        ("2024-12-04T09:00:28", 1733302828),
        ("2024-12-04T12:00:28+03:00", 1733302828),
        ("yesterday", None),
        (0, None),
        (MAX_SECONDS + 1, None),
    ],
)
def test_times_are_epoch_seconds_or_iso_dates(value, seconds):
    assert moment(value) == seconds
