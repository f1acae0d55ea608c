"""No minute, wherever it begins, holds more calls than a minute may; and nearly all that it may."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chatai_assets.domain.costs import Amount, Budget
from chatai_assets.domain.rate_limits import (
    CurrentUsage,
    Limit,
    RateLimitRules,
    buckets,
    decide,
    fit,
    limits_of,
    rebucket,
    stale,
    token_limits,
)

START = 1_790_000_000.0


def simulate(limits, wishes, seconds):
    """Ask whenever somebody wishes or may again; return the moments of all calls."""
    used: dict[str, int] = {}
    calls, now, wanted = [], START, 0
    wishes = sorted(wishes)
    while now < START + seconds:
        wanted += sum(number for at, number in wishes if at <= now - START)
        wishes = [(at, number) for at, number in wishes if at > now - START]
        given_, wait_s = fit(used, limits, [1] * min(wanted, 1_000), now)
        for name in stale(used, limits, now):
            del used[name]
        for name in buckets(limits, now) if given_ else ():
            used[name] = used.get(name, 0) + given_
        calls += [now] * given_
        wanted -= given_
        coming = START + min((at for at, _ in wishes), default=seconds)
        now = max(min(coming, now + wait_s if wanted else coming), now + 0.001)
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


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10), st.lists(st.tuples(st.floats(0, 30), st.booleans()), min_size=1, max_size=40))
def test_it_does_not_matter_when_between_its_beginning_and_its_end_a_call_reaches_the_provider(most, lasting):
    limits, used = [Limit(most, 60, 1)], dict[str, int]()
    under_way, reached = list[tuple[float, float]](), list[float]()
    now, coming = START, list(lasting)
    while coming:
        ended = [began for began, end in under_way if end <= now]
        under_way = [(began, end) for began, end in under_way if end > now]
        for name, change in rebucket(limits, ended, now).items():
            used[name] = used.get(name, 0) + change
        if fit(used, limits, [1], now)[0]:
            seconds, at_end = coming.pop()
            used.update({name: used.get(name, 0) + 1 for name in buckets(limits, now)})
            under_way.append((now, now + seconds))
            reached.append(now + seconds * at_end)
        for name in stale(used, limits, now):
            del used[name]
        now += 0.25
    assert most_within(reached, 60) <= most


def test_a_queue_that_never_ends_uses_nearly_all_of_each_minute():
    calls = simulate(limits_of(100, 100_000, 1_000_000), [(0, 100_000)], 600)
    assert len(calls) >= 0.97 * 1_000


def test_hours_and_days_limit_as_well():
    limits = limits_of(100, 250, 300)
    calls = simulate(limits, [(0, 10_000)], 3 * 3_600)
    assert most_within(calls, 3_600) == 250
    assert len(calls) == 300


def test_what_is_granted_says_when_to_come_again():
    rules = RateLimitRules(limits_of(100, 5_000, 100_000))
    none_left = decide(CurrentUsage({"60/1:1790000000": 100}), rules, [Amount()] * 5, START + 20)
    assert none_left.calls == 0
    assert 41 < none_left.wait_s < 42
    some = decide(CurrentUsage(), rules, [Amount()] * 30, START)
    assert (some.calls, some.wait_s) == (30, 0.0)


def test_grains_that_count_no_more_are_named_and_no_others():
    used = {"60/1:1789999000": 5, "3600/60:1789999000": 5, "86400/3600:1789000000": 5}
    assert set(stale(used, limits_of(100, 5_000, 100_000), START)) == {"60/1:1789999000", "86400/3600:1789000000"}


def test_tokens_that_are_reserved_hold_back_and_come_free_soon():
    rules = RateLimitRules(limits_of(100, 5_000, 100_000), token_limits(1_000, None))
    reserved = decide(CurrentUsage(reserved_tokens=900), rules, [Amount(300)] * 2, START)
    assert (reserved.calls, reserved.wait_s < 1) == (0, True)
    counted = decide(CurrentUsage({"tokens 60/1:1790000000": 500}), rules, [Amount(300)] * 2, START + 20)
    assert counted.calls == 1
    assert 41 < counted.wait_s < 42


def test_a_call_larger_than_the_whole_quota_goes_alone():
    rules = RateLimitRules(limits_of(100, 5_000, 100_000), token_limits(1_000, None))
    assert decide(CurrentUsage(), rules, [Amount(5_000)] * 2, START).calls == 1


def test_a_budget_lets_calls_begin_while_anything_is_left():
    rules = RateLimitRules(limits_of(100, 5_000, 100_000), budget=Budget(tokens=1_000))
    some = decide(CurrentUsage(spent=Amount(500)), rules, [Amount(300)] * 5, START)
    assert (some.calls, some.over_budget) == (2, False)
    waiting = decide(CurrentUsage(spent=Amount(500), reserved=Amount(500)), rules, [Amount(300)], START)
    assert (waiting.calls, waiting.over_budget, waiting.wait_s < 1) == (0, False, True)
    over = decide(CurrentUsage(spent=Amount(1_000)), rules, [Amount(300)], START)
    assert (over.calls, over.over_budget) == (0, True)


def test_who_waits_for_a_quota_does_not_queue_for_a_stream():
    rules = RateLimitRules(limits_of(1, 5_000, 100_000), concurrency=1)
    assert decide(CurrentUsage(free_slots=0), rules, [Amount()], START).short_of_slots
    assert not decide(CurrentUsage({"60/1:1790000000": 1}, free_slots=0), rules, [Amount()], START).short_of_slots


def test_what_was_counted_far_in_the_future_holds_nobody_up_and_is_not_forgotten():
    limits = limits_of(2, 100, 1_000)
    used = dict.fromkeys(buckets(limits, START + 7_200), 2)
    assert fit(used, limits, [1, 1], START) == (2, 0.0)
    assert fit(used, limits, [1], START + 7_200)[0] == 0
    assert stale(used, limits, START) == ()
