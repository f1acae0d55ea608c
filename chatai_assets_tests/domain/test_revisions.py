from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.revisions import (
    Arrival,
    KnownRevision,
    classify_arrival,
    idempotency_key,
    known_after,
    same_chunks,
)


def arrival(content="a", date=10, *, kind="post", has_words=True, tenant="t", door="file"):
    return Arrival(tenant, door, kind, "tg/1/1", "bot_api", {}, content, date, has_words)


def test_the_first_revision_is_the_latest():
    assert classify_arrival(arrival(), None) == "latest"


def test_old_words_are_unchanged_whatever_their_date():
    assert {classify_arrival(arrival("a", date), KnownRevision(1, 10, "a")) for date in (5, 10, 15)} == {"unchanged"}


def test_of_two_revisions_of_one_second_the_later_arrival_wins():
    assert classify_arrival(arrival("b", 10), KnownRevision(1, 10, "a")) == "latest"


def test_an_older_revision_is_superseded():
    assert classify_arrival(arrival("b", 9), KnownRevision(1, 10, "a")) == "superseded"


def test_a_file_has_no_date_so_that_a_clock_set_back_loses_nothing():
    assert classify_arrival(arrival("b", 9, kind="document"), KnownRevision(1, 10, "a")) == "latest"


def test_a_post_without_words_counts_only_where_it_takes_words_away():
    assert classify_arrival(arrival("", has_words=False), None) == "skipped"
    assert classify_arrival(arrival("", 11, has_words=False), KnownRevision(1, 10, "a")) == "latest"


def test_a_new_date_of_old_words_is_known_after():
    assert known_after(arrival("a", 15), KnownRevision(1, 10, "a"), "unchanged") == KnownRevision(1, 15, "a")
    assert known_after(arrival("a", 5), KnownRevision(1, 10, "a"), "unchanged") == KnownRevision(1, 10, "a")


def test_an_edit_back_to_old_words_has_a_key_of_its_own_and_the_door_has_none():
    assert idempotency_key(arrival(date=10), None) != idempotency_key(arrival(date=20), None)
    assert idempotency_key(arrival(door="file"), None) == idempotency_key(arrival(door="folder"), None)
    assert idempotency_key(arrival(tenant="t"), None) != idempotency_key(arrival(tenant="u"), None)


def test_a_file_brought_back_after_another_is_a_new_revision():
    first, again = (idempotency_key(arrival(kind="document"), known) for known in (None, KnownRevision(2, 10, "b")))
    assert first != again


@given(st.data())
def test_without_ties_the_newest_date_wins_in_any_order(data):
    dates = data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=8, unique=True))
    revisions = [arrival(data.draw(st.sampled_from("abc")), date) for date in dates]
    order = data.draw(st.permutations(revisions * 2))
    known = None
    for each in order:
        known = known_after(each, known, classify_arrival(each, known))
    newest = max(revisions, key=lambda each: each.revised_at)
    assert known
    assert (known.content_hash, known.revised_at) == (newest.content_hash, newest.revised_at)


def test_chunks_that_a_revision_says_as_well_are_found_where_they_stand_now():
    assert same_chunks("abc", "abc") == {0: 0, 1: 1, 2: 2}
    assert same_chunks("abc", "xac") == {0: 1, 2: 2}
    assert same_chunks("aab", "ba") == {0: 1, 2: 0}
    assert same_chunks("ab", "") == same_chunks("", "ab") == {}
