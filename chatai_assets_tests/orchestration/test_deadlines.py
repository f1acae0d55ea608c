import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from chatai_assets.orchestration.deadlines import DeadlinePassed, deadline

HOLDS_THE_GIL = """
from collections import deque
from itertools import repeat
from chatai_assets.orchestration.deadlines import deadline
with deadline(0.3, grace_s=0.3):
    deque(repeat(0), maxlen=0)  # loops in C for ever and never looks at signals
"""


def _spin() -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pass


def _spin_and_swallow() -> None:
    with suppress(DeadlinePassed):
        _spin()
    _spin()


def test_a_loop_in_python_is_stopped():
    started = time.monotonic()
    with pytest.raises(DeadlinePassed, match=r"after 0\.2 s"), deadline(0.2):
        _spin()
    assert time.monotonic() - started < 2


def test_a_sleeping_call_is_stopped():
    with pytest.raises(DeadlinePassed), deadline(0.2):
        time.sleep(20)


def test_a_deadline_that_is_swallowed_comes_again():
    with pytest.raises(DeadlinePassed), deadline(0.1):
        _spin_and_swallow()


def test_work_in_time_goes_on_undisturbed():
    with deadline(0.2):
        pass
    time.sleep(0.3)


def test_the_timer_of_whoever_had_it_before_goes_on():
    seen = []
    handler = signal.signal(signal.SIGALRM, lambda *_: seen.append(True))
    timer = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with deadline(5):
            time.sleep(0.05)
        time.sleep(0.5)
        assert seen == [True]
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def test_outside_the_main_thread_nothing_is_limited():
    finished = threading.Event()

    def work() -> None:
        with deadline(0.1):
            time.sleep(0.3)
        finished.set()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert finished.is_set()


def test_a_hang_that_holds_the_interpreter_ends_the_process():
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", HOLDS_THE_GIL], capture_output=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert b"Timeout" in ended.stderr
    assert time.monotonic() - started < 20
