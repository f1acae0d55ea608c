import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial

import psutil
import pytest

from chatai_assets.orchestration.watchdog import deadline as deadlines
from chatai_assets.orchestration.watchdog.client import watchdog
from chatai_assets.orchestration.watchdog.deadline import DeadlineExceeded

HOLDS_THE_GIL = """
import subprocess, sys
from collections import deque
from itertools import repeat
from chatai_assets.orchestration.watchdog.client import watchdog
from chatai_assets.orchestration.watchdog.deadline import deadline
with watchdog().watching("run", ["{}"]), deadline(0.3, "a loop", "", watchdog(), grace_s=0.3):
    print(subprocess.Popen(["sleep", "1000"]).pid, flush=True)
    deque(repeat(0), maxlen=0)  # loops in C for ever and never looks at signals
"""
IS_DEAF = """
import signal, time
from chatai_assets.orchestration.watchdog.client import Watchdog
with Watchdog(stop_s=0.5).watching("", ["{}"]):
    signal.signal(signal.SIGINT, lambda *_: None)
    print("here", flush=True)
    time.sleep(100)
"""


def deadline(seconds: float, grace_s: float = 3.0):
    return deadlines.deadline(seconds, "a test", "", watchdog(), grace_s=grace_s)


def _spin() -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pass


def _spin_and_swallow() -> None:
    with suppress(DeadlineExceeded):
        _spin()
    _spin()


def _listen() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


@pytest.mark.parametrize("hang", [_spin, partial(time.sleep, 20), _listen, _spin_and_swallow])
def test_what_hangs_is_stopped_with_its_name(hang):
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"over the deadline of a test, 0\.2 s"), deadline(0.2):
        hang()
    assert time.monotonic() - started < 10


def test_work_in_time_goes_on_undisturbed():
    with deadline(0.2, grace_s=0.1):
        pass
    time.sleep(0.5)


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


@pytest.mark.parametrize(("hang", "stopped"), [(_spin, True), (partial(time.sleep, 0.01), False)])
def test_outside_the_main_thread_the_same_holds(hang, stopped):
    ended = []

    def work() -> None:
        try:
            with deadline(0.2):
                hang()
        except DeadlineExceeded:
            ended.append(True)
        else:
            ended.append(False)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert ended == [stopped]


def test_a_hang_that_holds_the_interpreter_ends_the_process_and_its_children():
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", HOLDS_THE_GIL], stdout=subprocess.PIPE, timeout=30, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert time.monotonic() - started < 25
    until_gone(int(ended.stdout))


def test_who_is_told_to_stop_and_does_not_is_ended():
    with subprocess.Popen([sys.executable, "-c", IS_DEAF], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGKILL


def until_gone(pid: int) -> None:
    """Wait until a process is gone."""
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
