"""The memory of answers, and the turns of tenants."""

import asyncio
import signal
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from chatai_assets.domain.costs import Account, Cost
from chatai_assets.domain.errors import Deferred, ProviderBusy, ProviderUnreachable, StoreUnavailable
from chatai_assets.domain.rate_limits import Limit, RateLimitRules, limits_of
from chatai_assets.llm.cache import ResponseCache, TTLCache
from chatai_assets.llm.rate_limiter import CALL_LEASE_S, RateLimiter
from chatai_assets.storage import schema
from chatai_assets.storage.engine import open_records
from chatai_assets.storage.rate_limits import Permit
from chatai_assets_tests.support.pipeline import rows
from chatai_assets_tests.support.providers.home import model_inputs, open_services_at


@pytest.fixture
def records(tmp_path):
    opened = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    yield opened
    opened.close()


def test_memory_forgets_the_oldest_and_the_expired():
    now = [0.0]
    memory = TTLCache(entries=2, seconds=10, clock=lambda: now[0])
    memory.keep(("t", "a"), [1])
    memory.keep(("t", "b"), [2])
    assert memory.find(("t", "a")) == [1]
    memory.keep(("t", "c"), [3])
    assert memory.find(("t", "b")) is None
    now[0] = 10.0
    assert memory.find(("t", "a")) is None
    assert len(memory) == 1


def test_hits_and_misses_are_counted(records):
    questions = model_inputs("раз", "два")
    kept = ResponseCache(records, "gigachat")
    assert kept.find("m", questions) == {}
    kept.store("m", {questions[0]: ["раз"]})
    kept.store("m", {questions[0]: ["другое"]})
    assert kept.find("m", questions) == {questions[0]: ["раз"]}
    assert kept.find("m", questions) == {questions[0]: ["раз"]}
    assert kept.find("m2", questions) == {}
    assert kept.find("m", model_inputs("раз", tenant="another")) == {}
    assert dict(kept.figures) == {"memory_hits": 1, "store_hits": 1, "misses": 7}
    assert kept.size == 1


def test_turns_are_given_in_order_and_the_impatient_are_told_when_to_come(records):
    turnstile = RateLimiter(records, "p", RateLimitRules(limits_of(3, 100, 100)))

    async def crowd():
        until = time.monotonic() + 0.5
        return await asyncio.gather(*(turnstile.acquire("t", until) for _ in range(5)), return_exceptions=True)

    outcomes = asyncio.run(crowd())
    assert [type(outcome) for outcome in outcomes[:3]] == [Permit] * 3
    assert all(isinstance(outcome, Deferred) and 55 < (outcome.retry_after or 0) < 62 for outcome in outcomes[3:])
    assert turnstile.figures["provider_calls"] == 3


def test_tenants_do_not_wait_for_each_other(records):
    turnstile = RateLimiter(records, "p", RateLimitRules(limits_of(1, 100, 100)))

    async def visit():
        await turnstile.acquire("crowded", time.monotonic() + 1)
        waiting = asyncio.create_task(turnstile.acquire("crowded", time.monotonic() + 100))
        await asyncio.sleep(0.1)
        await turnstile.acquire("other", time.monotonic() + 1)
        waiting.cancel()

    asyncio.run(visit())
    assert turnstile.figures["provider_calls"] == 2


def test_one_stream_goes_from_one_who_waits_to_the_next(records):
    """Two ways to a provider stand for two processes; neither may keep the stream for itself."""
    rules, passed = RateLimitRules(limits_of(100, 100, 100), streams=1), []

    async def work(name, turnstile):
        for _ in range(5):
            call_id = await turnstile.acquire(name, time.monotonic() + 20)
            passed.append(name)
            await asyncio.sleep(0.02)
            turnstile.leave(call_id, Account(name, "posts", "tag", "h"), Cost(calls=1))

    async def both():
        await asyncio.gather(*(work(name, RateLimiter(records, "p", rules)) for name in ("a", "b")))

    asyncio.run(both())
    assert sum(one != other for one, other in pairwise(passed)) >= 7


def test_the_stream_of_one_who_was_killed_comes_free_with_its_lease(records):
    rules, now = RateLimitRules(limits_of(100, 100, 100), streams=1), [time.time()]

    async def take(turnstile, seconds):
        return await turnstile.acquire("t", time.monotonic() + seconds)

    assert asyncio.run(take(RateLimiter(records, "p", rules, lambda: now[0]), 1))
    with pytest.raises(Deferred):
        asyncio.run(take(RateLimiter(records, "p", rules, lambda: now[0]), 0.3))
    now[0] += CALL_LEASE_S + 1
    assert asyncio.run(take(RateLimiter(records, "p", rules, lambda: now[0]), 1))


def test_a_stream_whose_grant_was_not_heard_of_is_given_back_at_once(records):
    """The commit reaches the store, its answer does not: nobody makes the call, and no other may wait for its end."""
    rules, deaf = RateLimitRules(limits_of(100, 100, 100), streams=1), [True]

    class Lossy:
        @contextmanager
        def begin(self):
            with records.begin() as connection:
                yield connection
            if deaf.pop():
                raise StoreUnavailable("the connection broke after the commit")

    lossy: Any = Lossy()

    async def take():
        mine, another = RateLimiter(lossy, "p", rules), RateLimiter(records, "p", rules)
        with pytest.raises(StoreUnavailable):
            await mine.acquire("t", time.monotonic() + 1)
        assert [row["waiting"] for row in rows_of_calls()] == [False]
        deaf.append(False)
        await mine.settle()
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
        turnstile = RateLimiter(mine, "p", RateLimitRules((limit,)))
        until = time.monotonic() + seconds

        async def go():
            while True:
                await turnstile.acquire("t", until)
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


@pytest.mark.parametrize("what", ["tag", "embed"])
def test_what_was_paid_is_kept_when_an_outage_breaks_the_work_off(server, tmp_path, what):
    questions = model_inputs(*(f"Пост номер {number} о городе" for number in range(60 if what == "tag" else 640)))

    def ask(services):
        return services.tagger.tag(questions) if what == "tag" else services.embedder.embed(questions)

    def end_after_some_answers():
        while server.counts()["paid"] < 3:
            time.sleep(0.005)
        server.behave(shares={"503": 1.0})

    server.behave(latency_s=0.05)
    outage = threading.Thread(target=end_after_some_answers)
    with open_services_at(server, tmp_path / "home", JOB_CONCURRENCY="3") as services:
        services.tagger.tag(model_inputs("привет"))
        outage.start()
        with pytest.raises(ProviderUnreachable):
            ask(services)
    outage.join()
    paid = server.counts()["paid"]
    server.behave()
    with open_services_at(server, tmp_path / "home") as services:
        assert len(ask(services)) == len(questions)
    assert 1 < paid < len(questions)
    assert server.counts()["paid"] == len(questions) + 1


def test_a_batch_takes_no_longer_than_it_may_and_the_rest_waits(server, tmp_path):
    server.behave(latency_s=0.3)
    with open_services_at(server, tmp_path / "home", JOB_CONCURRENCY="2", CHATAI_QUOTA_PATIENCE_S="1") as services:
        started = time.monotonic()
        outcomes = services.tagger.tag(model_inputs(*(f"Пост номер {number} о городе" for number in range(30))))
        assert time.monotonic() - started < 4  # all of them take longer
    untried = [outcome for outcome in outcomes if isinstance(outcome, Deferred)]
    assert 0 < len(untried) < 30
    assert {outcome.retry_after for outcome in untried} == {0.0}


def test_an_interruption_leaves_nothing_running_and_loses_no_answer(server, tmp_path):
    """As a deadline of the stage would: raised in the waiting thread by a signal."""

    class Over(BaseException):
        pass

    def expire(_signal, _frame):
        raise Over

    server.behave(latency_s=0.2)
    questions = model_inputs(*(f"Пост номер {number} о городе" for number in range(30)))
    before = signal.signal(signal.SIGALRM, expire)
    try:
        with open_services_at(server, tmp_path / "home", JOB_CONCURRENCY="5") as services:
            assert services.tagger.tag(model_inputs("привет"))
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(Over):
                services.tagger.tag(questions)
    finally:
        signal.signal(signal.SIGALRM, before)
    server.behave()
    with open_services_at(server, tmp_path / "home") as services:
        services.tagger.tag(questions)
        assert rows(services, schema.calls_under_way) == []
    assert server.counts()["paid_repeats"] <= 5


def test_an_item_that_takes_too_long_is_left_for_later(server, tmp_path):
    server.behave(latency_s=3)
    with open_services_at(server, tmp_path / "home", CHATAI_ITEM_DEADLINE_S="1") as services:
        (outcome,) = services.tagger.tag(model_inputs("Пост о городе"))
    assert isinstance(outcome, ProviderBusy)
    assert str(outcome) == "gigachat: one item took longer than 1 s."
