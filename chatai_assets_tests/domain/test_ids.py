from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.ids import (
    canonical_json,
    digest,
    document_id_of,
    document_key,
    hour_of,
    hour_start,
    point_id,
    post_key,
    stream_of,
)

parts = st.lists(st.text(max_size=8), max_size=4)


@given(parts, parts)
def test_no_two_lists_of_parts_share_a_digest(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)


def test_keys_are_what_is_stored_for_ever():
    assert post_key(-1001234, 57) == "tg/-1001234/57"
    assert document_key(document_id_of("/inbox/a.pdf")) == "doc/" + digest("file", "/inbox/a.pdf")[:16]
    assert point_id("t", "tg/-1001234/57", "body", 0) == UUID("2da903dd-cc40-53c1-af4e-3170c2866cc8")


def test_a_point_has_another_id_in_each_place():
    places = [("t", "tg/1/1", "body", 0), ("u", "tg/1/1", "body", 0), ("t", "tg/1/2", "body", 0)]
    places += [("t", "tg/1/1", "page", 0), ("t", "tg/1/1", "body", 1)]
    assert len({point_id(*place) for place in places}) == 5


def test_a_source_key_tells_its_stream():
    assert (stream_of("tg/-100/1"), stream_of("doc/x")) == ("posts", "documents")
    with pytest.raises(ValueError, match="no source key"):
        stream_of("post/1")


def test_an_hour_is_a_partition_key_in_utc():
    moment = datetime(2026, 11, 21, 22, 59, 59, tzinfo=UTC).timestamp()
    assert hour_of(moment) == "2026-11-21-22:00"
    assert hour_start("2026-11-21-22:00") == moment - 3_599
    with pytest.raises(ValueError, match="does not match"):
        hour_start("yesterday")


@given(st.floats(0, 4e9))
def test_an_hour_begins_at_most_an_hour_before_its_moments(moment):
    assert 0 <= moment - hour_start(hour_of(moment)) < 3_600


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_hours_sort_as_their_moments_do(one, other):
    assert (hour_of(one) <= hour_of(other)) or one > other


def test_equal_values_have_equal_json():
    assert canonical_json({"b": 1, "a": "ё"}) == canonical_json({"a": "ё", "b": 1}) == '{"a":"ё","b":1}'
