"""The cache of answers, in memory and in the record store."""

import pytest

from chatai_assets.llm.cache import ResponseCache
from chatai_assets.storage.engine import open_records
from chatai_assets_tests.support.providers.home import model_inputs


@pytest.fixture
def records(tmp_path):
    opened = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    yield opened
    opened.close()


def test_memory_drops_the_least_recently_used_and_the_expired(records):
    now = [0.0]
    cache = ResponseCache(records, "gigachat", entries=2, ttl_s=10, clock=lambda: now[0])
    first, second, third = model_inputs("a", "b", "c")
    cache.remember("m", {first: [1], second: [2]})
    assert cache.find("m", [first]) == {first: [1]}
    cache.remember("m", {third: [3]})
    assert cache.find("m", [second]) == {}
    assert cache.find("m", [first, third]) == {first: [1], third: [3]}
    now[0] = 10.0
    assert cache.find("m", [first]) == {}
    assert cache.size == 0


def test_memory_forgets_one_tenant_alone(records):
    cache = ResponseCache(records, "gigachat")
    (mine,), (other,) = model_inputs("a", tenant="t"), model_inputs("a", tenant="u")
    cache.remember("m", {mine: [1], other: [2]})
    cache.forget("t")
    assert cache.find("m", [mine, other]) == {other: [2]}


def test_hits_and_misses_are_counted(records):
    questions = model_inputs("раз", "два")
    cache = ResponseCache(records, "gigachat")
    assert cache.find("m", questions) == {}
    cache.store("m", {questions[0]: ["раз"]})
    cache.store("m", {questions[0]: ["другое"]})
    assert cache.find("m", questions) == {questions[0]: ["раз"]}
    assert cache.find("m", questions) == {questions[0]: ["раз"]}
    assert cache.find("m2", questions) == {}
    assert cache.find("m", model_inputs("раз", tenant="another")) == {}
    assert dict(cache.figures) == {"memory_hits": 1, "store_hits": 1, "misses": 7}
    assert cache.size == 1
