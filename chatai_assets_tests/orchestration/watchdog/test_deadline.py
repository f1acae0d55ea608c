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
IGNORES_SIGINT = """
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
def test_a_hang_is_stopped_and_the_message_names_the_operation(hang):
    with pytest.raises(DeadlineExceeded, match=r"over the deadline of a test, 0\.2 s"), deadline(0.2):
        hang()  # returns after 20 s if nothing stops it, and then nothing is raised


def test_work_within_the_deadline_is_not_disturbed_later():
    with deadline(0.2, grace_s=0.1):
        pass
    time.sleep(0.5)


def test_a_timer_that_was_set_before_still_fires():
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
def test_a_deadline_also_holds_outside_the_main_thread(hang, stopped):
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


def test_a_hang_that_holds_the_interpreter_lock_gets_the_process_and_its_children_killed():
    ended = subprocess.run([sys.executable, "-c", HOLDS_THE_GIL], stdout=subprocess.PIPE, timeout=30, check=False)
    assert ended.returncode == -signal.SIGKILL
    until_gone(int(ended.stdout))


def test_a_process_that_ignores_a_stop_signal_is_killed():
    with subprocess.Popen([sys.executable, "-c", IGNORES_SIGINT], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGKILL


def until_gone(pid: int) -> None:
    """Wait until a process is gone; where it never goes, pytest-timeout ends the test."""
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.05)
