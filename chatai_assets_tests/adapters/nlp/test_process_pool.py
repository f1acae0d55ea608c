import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from chatai_assets.adapters.nlp.process_pool import ModelWorkers
from chatai_assets.domain.errors import Outage, ProviderRejected

pytestmark = pytest.mark.one_worker

ROOT = Path(__file__).parents[3]
WITHIN_S = 300.0
"""Longer than a busy machine takes for any of these calls."""


def lengths(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def process_ids(texts: Sequence[str]) -> list[int]:
    time.sleep(0.1)
    return [os.getpid()] * len(texts)


def refuse(texts: Sequence[str]) -> list[int]:
    raise ProviderRejected("these texts are refused")


def die(texts: Sequence[str]) -> list[int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def sleep(texts: Sequence[str]) -> list[int]:
    time.sleep(60)
    return [0] * len(texts)


def blas_threads(texts: Sequence[str]) -> list[str]:
    return [os.environ["OPENBLAS_NUM_THREADS"]] * len(texts)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[ModelWorkers]:
    with ModelWorkers(2, WITHIN_S) as workers:
        yield workers


@pytest.fixture(params=[0, 1, 2])
def workers(request: pytest.FixtureRequest, two_workers: ModelWorkers) -> ModelWorkers:
    return two_workers if request.param == 2 else ModelWorkers(request.param, WITHIN_S)


def test_answers_come_in_order(workers: ModelWorkers):
    texts = ["a" * (number % 17) for number in range(100)]
    assert workers.map(lengths, texts, batch_size=7) == [len(text) for text in texts]
    assert workers.map(lengths, []) == []


def test_work_is_spread_over_processes_that_stay(two_workers: ModelWorkers):
    first = set(two_workers.map(process_ids, ["a"] * 8, batch_size=1))
    for pid in first:
        os.kill(pid, signal.SIGINT)  # Ctrl-C is for whoever closes them
    again = set(two_workers.map(process_ids, ["a"] * 8, batch_size=1))
    assert len(first) == 2
    assert again == first
    assert two_workers.map(blas_threads, ["a", "b"], batch_size=1) == ["1", "1"]


def test_one_process_is_the_calling_one():
    with ModelWorkers(1, WITHIN_S) as workers:
        assert workers.map(process_ids, ["a"]) == [os.getpid()]


def test_an_error_of_the_model_is_raised_here(workers: ModelWorkers):
    with pytest.raises(ProviderRejected, match="these texts are refused"):
        workers.map(refuse, ["a", "b"], batch_size=1)
    assert workers.map(lengths, ["a", "bb"], batch_size=1) == [1, 2]


def test_a_worker_that_dies_is_an_outage_and_the_next_call_starts_new_ones(two_workers: ModelWorkers):
    with pytest.raises(Outage, match=r"died \(exit code -9\)"):
        two_workers.map(die, ["a"] * 4, batch_size=1)
    assert two_workers.map(lengths, ["a", "bb"], batch_size=1) == [1, 2]


def test_closing_ends_the_workers():
    with ModelWorkers(2, WITHIN_S) as workers:
        pids = set(workers.map(process_ids, ["a"] * 8, batch_size=1))
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_idle_workers_leave_and_the_next_call_starts_new_ones():
    with ModelWorkers(2, WITHIN_S, idle_s=0.2) as workers:
        pids = set(workers.map(process_ids, ["a"] * 4, batch_size=1))
        until = time.monotonic() + 20
        while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert workers.map(lengths, ["a", "bb"], batch_size=1) == [1, 2]


def test_a_stuck_worker_is_an_outage():
    started = time.monotonic()
    with ModelWorkers(2, answer_within_s=1) as workers, pytest.raises(Outage, match="within 1 s"):
        workers.map(sleep, ["a"] * 2, batch_size=1)
    assert time.monotonic() - started < 20


def test_workers_do_not_outlive_a_killed_parent():
    program = (
        "import sys, time\n"
        "from chatai_assets.adapters.nlp.process_pool import ModelWorkers\n"
        "from chatai_assets_tests.adapters.nlp.test_process_pool import process_ids, sleep\n"
        "workers = ModelWorkers(2, 60)\n"
        "sys.stdout.write(' '.join(map(str, set(workers.map(process_ids, ['a'] * 8, batch_size=1)))) + '\\n')\n"
        "sys.stdout.flush()\n"
        "workers.map(sleep, ['a'] * 2, batch_size=1)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
