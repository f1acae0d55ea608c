"""No minute, wherever it begins, holds more calls than a minute may; and nearly all that it may."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chatai_assets.domain.quotas import Limit, grant, limits_of

START = 1_790_000_000.0


def simulate(limits, wishes, seconds):
    """Ask whenever somebody wishes or may again; return the moments of all calls."""
    used: dict[str, int] = {}
    calls, now, wanted = [], START, 0
    wishes = sorted(wishes)
    while now < START + seconds:
        wanted += sum(number for at, number in wishes if at <= now - START)
        wishes = [(at, number) for at, number in wishes if at > now - START]
        given_ = grant(used, limits, wanted, now)
        for name in given_.stale:
            del used[name]
        if given_.calls:
            for name in given_.grains:
                used[name] = used.get(name, 0) + given_.calls
        calls += [now] * given_.calls
        wanted -= given_.calls
        coming = START + min((at for at, _ in wishes), default=seconds)
        now = max(min(coming, now + given_.wait_s if wanted else coming), now + 0.001)
    return calls


def most_within(calls, seconds):
    return max((sum(1 for call in calls if first <= call < first + seconds) for first in set(calls)), default=0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 300), st.integers(1, 30)), max_size=12),
)
def test_no_minute_holds_more_calls_than_it_may(most, wishes):
    assert most_within(simulate([Limit(most, 60, 1)], wishes, 300), 60 + 0.4) <= most


def test_a_queue_that_never_ends_uses_nearly_all_of_each_minute():
    calls = simulate(limits_of(100, 100_000, 1_000_000), [(0, 100_000)], 600)
    assert len(calls) >= 0.97 * 1_000


def test_hours_and_days_limit_as_well():
    limits = limits_of(100, 250, 300)
    calls = simulate(limits, [(0, 10_000)], 3 * 3_600)
    assert most_within(calls, 3_600) == 250
    assert len(calls) == 300


def test_what_is_granted_says_when_to_come_again():
    none_left = grant({"60/1:1790000000": 100}, limits_of(100, 5_000, 100_000), 5, START + 20)
    assert none_left.calls == 0
    assert 41 < none_left.wait_s < 42
    some = grant({}, limits_of(100, 5_000, 100_000), 30, START)
    assert (some.calls, some.wait_s) == (30, 0.0)
    assert len(some.grains) == 3


def test_grains_that_count_no_more_are_named_and_no_others():
    used = {"60/1:1789999000": 5, "3600/60:1789999000": 5, "86400/3600:1789000000": 5}
    assert set(grant(used, limits_of(100, 5_000, 100_000), 1, START).stale) == {
        "60/1:1789999000",
        "86400/3600:1789000000",
    }
