"""Batches that break off: what was paid for is kept, and the rest is left for later."""

import signal
import threading
import time

import pytest

from chatai_assets.domain.errors import Deferred, ProviderBusy, ProviderUnreachable
from chatai_assets.storage import schema
from chatai_assets_tests.support.pipeline import rows
from chatai_assets_tests.support.providers.home import model_inputs, open_services_at


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
