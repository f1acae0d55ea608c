"""A file lock excludes threads and processes, and the kernel releases it when its holder dies."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chatai_assets.files.locks import exclusive_lock

HOLD = """
import sys, time
from pathlib import Path
from chatai_assets.files.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), 10):
    print("held", flush=True)
    time.sleep(600)
"""


def hold(path: Path) -> None:
    with exclusive_lock(path, 0):
        pass


def test_a_lock_is_free_again_after_its_block(tmp_path: Path):
    hold(tmp_path / "a.lock")
    hold(tmp_path / "a.lock")


def test_a_second_holder_waits_and_gives_up_in_time(tmp_path: Path):
    with exclusive_lock(tmp_path / "a.lock", 0), pytest.raises(TimeoutError, match=r"a\.lock is locked"):
        hold(tmp_path / "a.lock")


def test_threads_exclude_each_other(tmp_path: Path):
    held, done = threading.Event(), threading.Event()

    def work() -> None:
        with exclusive_lock(tmp_path / "a.lock", 0):
            held.set()
            done.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert held.wait(60)
    with pytest.raises(TimeoutError):
        hold(tmp_path / "a.lock")
    done.set()
    with exclusive_lock(tmp_path / "a.lock", 60):
        thread.join(60)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path):
    path = tmp_path / "a.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError):
            hold(path)
        process.kill()
    with exclusive_lock(path, 60):
        pass


def test_a_folder_that_is_missing_is_an_error_of_the_system(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "nowhere" / "a.lock")
