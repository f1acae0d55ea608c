"""Quotas, budgets and slots of tenants at one provider."""

import asyncio
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from chatai_assets.domain.costs import Account, Cost
from chatai_assets.domain.errors import Deferred, StoreUnavailable
from chatai_assets.domain.rate_limits import Limit, RateLimitRules, limits_of
from chatai_assets.llm.rate_limiter import CALL_LEASE_S, RateLimiter
from chatai_assets.storage import schema
from chatai_assets.storage.engine import open_records
from chatai_assets.storage.rate_limits import Permit


@pytest.fixture
def records(tmp_path):
    opened = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    yield opened
    opened.close()


def test_permits_are_granted_in_order_and_impatient_calls_learn_when_to_come_back(records):
    limiter = RateLimiter(records, "p", RateLimitRules(limits_of(3, 100, 100)))

    async def many_calls():
        deadline = time.monotonic() + 0.5
        return await asyncio.gather(*(limiter.acquire("t", deadline) for _ in range(5)), return_exceptions=True)

    outcomes = asyncio.run(many_calls())
    assert [type(outcome) for outcome in outcomes[:3]] == [Permit] * 3
    assert all(isinstance(outcome, Deferred) and 55 < (outcome.retry_after or 0) < 62 for outcome in outcomes[3:])
    assert limiter.figures["provider_calls"] == 3


def test_tenants_do_not_wait_for_each_other(records):
    limiter = RateLimiter(records, "p", RateLimitRules(limits_of(1, 100, 100)))

    async def calls():
        await limiter.acquire("crowded", time.monotonic() + 1)
        waiting = asyncio.create_task(limiter.acquire("crowded", time.monotonic() + 100))
        await asyncio.sleep(0.1)
        await limiter.acquire("other", time.monotonic() + 1)
        waiting.cancel()

    asyncio.run(calls())
    assert limiter.figures["provider_calls"] == 2


def test_a_free_slot_goes_to_the_client_that_waited_longest(records):
    """Two clients of a provider stand for two processes; neither may keep the slot for itself."""
    rules, passed = RateLimitRules(limits_of(100, 100, 100), concurrency=1), []

    async def work(name, limiter):
        for _ in range(5):
            call_id = await limiter.acquire(name, time.monotonic() + 20)
            passed.append(name)
            await asyncio.sleep(0.02)
            limiter.release(call_id, Account(name, "posts", "tag", "h"), Cost(calls=1))

    async def both():
        await asyncio.gather(*(work(name, RateLimiter(records, "p", rules)) for name in ("a", "b")))

    asyncio.run(both())
    assert sum(one != other for one, other in pairwise(passed)) >= 7


def test_the_slot_of_a_killed_client_becomes_free_with_its_lease(records):
    rules, now = RateLimitRules(limits_of(100, 100, 100), concurrency=1), [time.time()]

    async def take(limiter, seconds):
        return await limiter.acquire("t", time.monotonic() + seconds)

    assert asyncio.run(take(RateLimiter(records, "p", rules, lambda: now[0]), 1))
    with pytest.raises(Deferred):
        asyncio.run(take(RateLimiter(records, "p", rules, lambda: now[0]), 0.3))
    now[0] += CALL_LEASE_S + 1
    assert asyncio.run(take(RateLimiter(records, "p", rules, lambda: now[0]), 1))


def test_a_slot_whose_grant_was_not_acknowledged_is_released_at_once(records):
    """The commit reaches the store, its answer does not: the call is never made, and no other may wait for its end."""
    rules, lost_answers = RateLimitRules(limits_of(100, 100, 100), concurrency=1), [True]

    class Lossy:
        @contextmanager
        def begin(self):
            with records.begin() as connection:
                yield connection
            if lost_answers.pop():
                raise StoreUnavailable("the connection broke after the commit")

    lossy: Any = Lossy()

    async def take():
        mine, another = RateLimiter(lossy, "p", rules), RateLimiter(records, "p", rules)
        with pytest.raises(StoreUnavailable):
            await mine.acquire("t", time.monotonic() + 1)
        assert [row["waiting"] for row in rows_of_calls()] == [False]
        lost_answers.append(False)
        await mine.flush()
        assert rows_of_calls() == []
        return await another.acquire("t", time.monotonic() + 1)

    def rows_of_calls():
        with records.reading() as connection:
            return connection.execute(select(schema.calls_under_way)).mappings().all()

    assert asyncio.run(take())


def test_processes_share_a_quota(records, tmp_path):
    """Threads with stores of their own stand for processes; the benchmark uses real ones."""
    limit, seconds, passed = Limit(5, 2, 1), 6.0, []

    def work():
        mine = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
        limiter = RateLimiter(mine, "p", RateLimitRules((limit,)))
        deadline = time.monotonic() + seconds

        async def go():
            while True:
                await limiter.acquire("t", deadline)
                passed.append(time.monotonic())

        with pytest.raises(Deferred):
            asyncio.run(go())
        mine.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(sum(first <= at < first + 2 for at in passed) <= 5 for first in passed)
    assert len(passed) >= 10
