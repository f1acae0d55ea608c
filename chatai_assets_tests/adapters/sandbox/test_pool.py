"""A file may crash its worker, and nothing else."""

from __future__ import annotations

import collections
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import ChatAIError, ChildKilled, Outage, UnreadableDocument
from chatai_assets_tests.support.files import docx, word_paragraph
from chatai_assets_tests.support.server_processes import SCRIPTS

ROOT = Path(__file__).resolve().parents[3]


def text_file(folder: Path, name: str, text: str = "Добрый день") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def heavy_docx(folder: Path, paragraphs: int = 60_000) -> Path:
    """Write a document that takes seconds and a hundred megabytes to read."""
    words = "".join(word_paragraph(f"{os.urandom(12).hex()} {number}") for number in range(paragraphs))
    return docx(folder / "heavy.docx", words)


def children() -> list[psutil.Process]:
    """Return the running children of this process, except servers that other tests have started."""
    alive = [child for child in psutil.Process().children() if child.is_running() and child.status() != "zombie"]
    return [child for child in alive if str(SCRIPTS) not in " ".join(child.cmdline())]


def test_documents_are_returned_in_order_from_several_workers(tmp_path: Path) -> None:
    names = [f"{number}.txt" for number in range(20)]
    with ParserPool(2) as pool:
        items = [(text_file(tmp_path, name, f"текст {name}"), name) for name in names]
        outcomes = pool.run_all(partial(pool.parse, path, name) for path, name in items)
        texts = [outcome.text for outcome in outcomes if isinstance(outcome, ParsedDocument)]
        assert len(children()) <= 2
    assert texts == [f"текст {name}" for name in names]
    assert children() == []


def test_a_slow_file_times_out_and_other_files_are_read(tmp_path: Path) -> None:
    good = text_file(tmp_path, "good.txt")
    items = [(good, "a.txt"), (heavy_docx(tmp_path), "heavy.docx"), (good, "b.txt"), (good, "c.txt")]
    with ParserPool(2, ParserLimits(wall_s=0.5)) as pool:
        calls = (partial(pool.parse, path, name) for path, name in items)
        outcomes: list[ParsedDocument | ChatAIError] = list(pool.run_all(calls))
    assert [isinstance(outcome, ParsedDocument) for outcome in outcomes] == [True, False, True, True]
    assert isinstance(outcomes[1], UnreadableDocument)
    assert outcomes[1].reason == "timeout"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds private memory")
def test_a_file_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    with ParserPool(1, ParserLimits(memory_bytes=120 * 2**20)) as pool:
        with pytest.raises(UnreadableDocument) as caught:
            pool.parse(heavy_docx(tmp_path), "heavy.docx")
        assert caught.value.reason == "memory_limit"
        assert pool.parse(text_file(tmp_path, "good.txt"), "good.txt").text == "Добрый день"


def signal_while_reading(pool: ParserPool, path: Path, number: signal.Signals) -> ChatAIError:
    """Send a signal to the worker that is reading and return the resulting error."""
    pool.parse(text_file(path.parent, "warm.txt"), "warm.txt")
    (child,) = children()
    timer = threading.Timer(0.3, child.send_signal, (number,))
    timer.start()
    with pytest.raises(ChatAIError) as caught:
        pool.parse(path, path.name)
    timer.join()
    return caught.value


def test_a_worker_killed_by_the_system_does_not_blame_the_file(tmp_path: Path) -> None:
    path = heavy_docx(tmp_path)
    with ParserPool(1) as pool:
        assert isinstance(signal_while_reading(pool, path, signal.SIGKILL), ChildKilled)
        assert pool.parse(text_file(tmp_path, "good.txt"), "good.txt").format == "text"


def test_a_file_is_retried_after_its_worker_crashed(tmp_path: Path) -> None:
    path = heavy_docx(tmp_path, 20_000)
    with ParserPool(1) as pool:
        pool.parse(text_file(tmp_path, "warm.txt"), "warm.txt")
        (child,) = children()
        timer = threading.Timer(0.1, child.send_signal, (signal.SIGSEGV,))
        timer.start()
        assert pool.parse(path, path.name).format == "docx"
        assert not child.is_running()
        timer.join()


@pytest.mark.parametrize("trick", ["exit", "segfault", "abort"])
def test_a_file_that_crashes_three_workers_is_unreadable(tmp_path: Path, trick: str) -> None:
    file = text_file(tmp_path, "a.txt", f"TRICK {trick}\n")
    with ParserPool(1, module="chatai_assets_tests.support.hostile_child") as pool:
        with pytest.raises(UnreadableDocument) as caught:
            pool.parse(file, "a.txt")
        assert caught.value.reason == "parser_crashed"
        assert pool.parse(text_file(tmp_path, "good.txt"), "good.txt").format == "text"


def test_a_worker_that_died_while_idle_is_replaced(tmp_path: Path) -> None:
    good = text_file(tmp_path, "good.txt")
    with ParserPool(1) as pool:
        pool.parse(good, "good.txt")
        (child,) = children()
        child.kill()
        child.wait(5)
        assert pool.parse(good, "good.txt").text == "Добрый день"


def test_a_worker_is_replaced_after_its_maximum_of_files(tmp_path: Path) -> None:
    good = text_file(tmp_path, "good.txt")
    with ParserPool(1, ParserLimits(max_files_per_child=2)) as pool:
        pool.parse(good, "good.txt")
        (first,) = children()
        pool.parse(good, "good.txt")
        pool.parse(good, "good.txt")
        (second,) = children()
    assert first.pid != second.pid


def test_a_worker_gets_no_secret_and_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_API_KEY", "secret")
    with ParserPool(1) as pool:
        pool.parse(text_file(tmp_path, "good.txt"), "good.txt")
        (child,) = children()
        assert "GIGACHAT_API_KEY" not in child.environ()
        assert not Path(child.cwd()).exists()


def test_closing_kills_a_worker_that_is_still_reading(tmp_path: Path) -> None:
    heavy = heavy_docx(tmp_path)
    pool = ParserPool(1)
    timer = threading.Timer(0.5, pool.close)
    timer.start()
    with pytest.raises(Outage):
        pool.parse(heavy, "heavy.docx")
    timer.join()
    assert children() == []
    with pytest.raises(Outage):
        pool.parse(tmp_path, "any")


def test_workers_exit_when_their_parent_is_killed(tmp_path: Path) -> None:
    good = text_file(tmp_path, "good.txt")
    program = (
        "import sys, time, psutil; from pathlib import Path\n"
        "from chatai_assets.adapters.sandbox.pool import ParserPool\n"
        "pool = ParserPool(1); pool.parse(Path(sys.argv[1]), 'good.txt')\n"
        "print(psutil.Process().children()[0].pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(good)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.is_running() or child.status() == "zombie"


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param("open('new.txt', 'w')", id="write"),
        pytest.param("import os; os.open('../new.txt', os.O_CREAT | os.O_WRONLY)", id="create"),
        pytest.param("import socket; socket.create_connection(('127.0.0.1', 9))", id="connect"),
        pytest.param("import subprocess; subprocess.run(['true'])", id="program"),
        pytest.param("import os; os.fork()", id="fork"),
    ],
)
def test_a_confined_process_may_only_read(attempt: str, tmp_path: Path) -> None:
    program = (
        "import os; from chatai_assets.adapters.sandbox.confinement import drop_privileges\n"
        "from chatai_assets.adapters.parsers.limits import ParserLimits\n"
        "drop_privileges(ParserLimits(), os.getppid())\n"
        f"try:\n    {attempt}\nexcept PermissionError:\n    print('refused')"
    )
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert result.stdout == "refused\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment_s", [0.0, 0.02, 0.1, 0.2])
def test_closing_at_any_moment_leaves_no_worker(tmp_path: Path, moment_s: float) -> None:
    good = text_file(tmp_path, "good.txt")
    pool = ParserPool(2)
    timer = threading.Timer(moment_s, pool.close)
    timer.start()
    endless = pool.run_all(itertools.repeat(partial(pool.parse, good, "good.txt")))
    with pytest.raises(Outage):
        collections.deque(endless, maxlen=0)
    timer.join()
    assert children() == []
