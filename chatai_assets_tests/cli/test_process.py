"""``chatai process``: a bar and a summary for people, JSON log lines for machines; the JSON keys are an interface."""

import json
import os
import threading
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from chatai_assets.cli.main import cli
from chatai_assets.orchestration.local_runner import RemainingWork, remaining_work
from chatai_assets.services import Services
from chatai_assets_tests.support.pipeline import ingest_posts, message, migrated_settings

LOG_LINE = '"event": "asset.processing.complete"'


@pytest.fixture
def home(tmp_path):
    with Services(migrated_settings(tmp_path / "home")) as services:
        ingest_posts(services, [message(1, "Вчера Мария видела Байкал."), message(2, "Сегодня она вернулась домой.")])
        assert remaining_work(services.records) == RemainingWork(items=2, steps=2 * 6)
    return tmp_path / "home"


@contextmanager
def pseudo_terminal():
    """Yield a terminal to write to, and a list that holds what was written to it once the block has ended."""
    master, slave = os.openpty()
    written, shown = bytearray(), list[str]()

    def read():
        try:
            while some := os.read(master, 65_536):
                written.extend(some)
        except OSError:  # how Linux reports that the last writer has closed the terminal
            pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        yield terminal, shown
    reader.join()
    os.close(master)
    shown.append(written.decode())


def process_at_terminal(monkeypatch, home, *arguments, **environment):
    variables = {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free", "COLUMNS": "200", "TERM": "xterm"} | environment
    with pseudo_terminal() as (terminal, shown), monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr("sys.stdout", terminal)
        patch.setattr("sys.stderr", terminal)
        cli.main(["process", *arguments], standalone_mode=False)
    return shown[0]


def test_people_see_a_bar_and_a_summary_and_no_log_lines(monkeypatch, home):
    shown = process_at_terminal(monkeypatch, home)
    assert "Processing: 2 items left" in shown
    assert "━" in shown
    assert "%" in shown
    assert "2 items processed in 1 runs, 0 failed, 0 pending" in shown
    assert LOG_LINE not in shown
    assert "dead-letters" not in shown


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--log"], {}), ([], {"CHATAI_LOG_LEVEL": "INFO"})],
    ids=["flag", "variable"],
)
def test_log_lines_are_written_at_a_terminal_when_asked_for(monkeypatch, home, arguments, environment):
    shown = process_at_terminal(monkeypatch, home, *arguments, **environment)
    assert LOG_LINE in shown
    assert "2 items processed" in shown


def test_without_a_terminal_stdout_is_one_document_and_stderr_is_log_lines(home):
    done = CliRunner().invoke(cli, ["process", "--json"], env={"CHATAI_HOME": str(home), "CHATAI_MODELS": "free"})
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout).keys() == {"runs", "processed", "failed", "pending", "seconds"}
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events.count("asset.processing.complete") >= 6
