"""Timestamps of a clock that was ahead do not delay work for longer than they should."""

import pytest

from chatai_assets.domain.costs import NOTHING
from chatai_assets.domain.ids import ItemKey, hour_of
from chatai_assets.operations.recovery import StalledDetector, reclaim_stalled
from chatai_assets.storage import leases, rate_limits
from chatai_assets.storage import leases as claims
from chatai_assets.storage import notifications as announcements
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.inbox import arrival_hour
from chatai_assets.storage.rate_limits import Caller
from chatai_assets.storage.schema import posts
from chatai_assets_tests.support.arrivals import HOUR, NOON, arrival, receive_arrivals

AHEAD_S = 7_200.0
LEASE_S = 60.0


def claimed(records, owner, *, now, hour=HOUR):
    with records.begin() as connection:
        wanted = claims.Claim(owner, "posts", "parse", hour, 10, now, now + LEASE_S, "run")
        assert claims.claim(connection, wanted) == 1


def state(records):
    with records.reading() as connection:
        (row,) = work.stages_of(connection, ItemKey("t", "tg/1/1"))
        return row


@pytest.mark.parametrize("ahead_s", [AHEAD_S, 0.0], ids=["ahead", "right"])
def test_a_delay_keeps_its_length_when_the_clock_was_ahead(records, ahead_s):
    receive_arrivals(records, arrival(1))
    claimed(records, "a", now=NOON + ahead_s)
    with records.begin() as connection:
        now = NOON + ahead_s
        work.reschedule(connection, "a", [(ItemKey("t", "tg/1/1"), "ProviderBusy", now + 900)], now=now)
        assert leases.clamp_future_delays(connection, NOON + 1) == bool(ahead_s)
        assert leases.clamp_future_delays(connection, NOON + 1) == 0
    assert state(records)["next_attempt_at"] == pytest.approx(NOON + 901 if ahead_s else NOON + 900)


def test_arrivals_of_a_future_hour_move_to_the_current_one(records):
    future = hour_of(NOON + AHEAD_S)
    receive_arrivals(records, arrival(1), now=NOON + AHEAD_S)
    assert state(records)["hour"] == future
    with records.begin() as connection:
        assert leases.clamp_future_hours(connection, NOON, HOUR) == 1
        assert leases.clamp_future_hours(connection, NOON, HOUR) == 0
        assert arrival_hour(connection, NOON) == HOUR
        assert connection.execute(posts.select()).mappings().one()["hour"] == HOUR
    assert state(records)["hour"] == HOUR


def test_arrivals_before_the_first_partition_move_to_the_current_hour(records):
    receive_arrivals(records, arrival(1), now=NOON - AHEAD_S)
    with records.begin() as connection:
        assert leases.clamp_future_hours(connection, NOON, HOUR) == 1
    assert state(records)["hour"] == HOUR


def test_a_lease_from_the_future_is_reclaimed_when_it_is_not_renewed(records):
    moments = iter([0.0, 30.0, 60.0, 95.0])
    silence = StalledDetector(lambda: next(moments))
    receive_arrivals(records, arrival(1))
    claimed(records, "another.1/77/1/abc", now=NOON + AHEAD_S)
    assert reclaim_stalled(records, silence, NOON, LEASE_S) == 0
    with records.begin() as connection:
        claims.renew(connection, "another.1/77/1/abc", NOON + AHEAD_S + 80)
    freed = [reclaim_stalled(records, silence, NOON, LEASE_S) for _ in range(3)]
    assert freed == [0, 0, 1]
    assert (state(records)["state"], state(records)["owner"]) == ("pending", None)


def test_a_call_from_the_future_takes_no_slot(records):
    caller = Caller("t", "gigachat", "holder", 100.0)
    with records.begin() as connection:
        rate_limits.add_calls(connection, caller, ["1"], [NOTHING], NOON + AHEAD_S)
        assert rate_limits.in_flight(connection, NOON) == []
        rate_limits.add_calls(connection, caller, ["2"], [NOTHING], NOON)
        assert [row["id"] for row in rate_limits.in_flight(connection, NOON)] == ["2"]


def test_a_notification_claimed_in_the_future_is_sent_now(records):
    with records.begin() as connection:
        assert announcements.claim(connection, "outage/1/began", NOON + AHEAD_S).state == "mine"
        assert announcements.claim(connection, "outage/1/began", NOON).state == "mine"
        assert announcements.claim(connection, "outage/1/began", NOON + 1).state == "held"
