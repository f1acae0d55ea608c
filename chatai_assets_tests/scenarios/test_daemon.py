"""The first hour of a newcomer: start, find the samples, drop files in, press Ctrl-C, start again."""

import json
import logging
import shutil
import time
from pathlib import Path

import pytest

from chatai_assets.orchestration.instance import home_instance
from chatai_assets.orchestration.runs import UPKEEP_JOBS
from chatai_assets.settings import PROJECT, read_settings
from chatai_assets_tests.support.daemon import (
    Daemon,
    clean_environment,
    run_command,
    run_target,
    start_dagster_dev,
    start_make_run,
)
from chatai_assets_tests.support.files import pdf

DROP_WAIT_S = 60.0
pytestmark = pytest.mark.daemon
log = logging.getLogger(__name__)


def export(path: Path, text: str, number: object = 1) -> None:
    """Write an export of Telegram Desktop with one post."""
    post = {"id": number, "type": "message", "date": "2024-01-01T00:00:00", "date_unixtime": "1704067200", "text": text}
    chat = {"name": "Обсерватория", "type": "public_channel", "id": 77, "messages": [post]}
    path.write_text(json.dumps(chat, ensure_ascii=False), encoding="utf-8")


def test_the_samples_are_found_without_a_click(samples_s: float):
    assert samples_s < 90


def test_dropped_files_are_found_and_bad_ones_say_why(daemon: Daemon, samples_s: float):
    inbox = daemon.home / "inbox"
    pdf(inbox / "turbine.pdf", ["Inspect the turbine blades for hairline cracks every spring."])
    export(inbox / "result.json", "Обсерватория наблюдала комету в созвездии Лиры.")
    (inbox / "noise.bin").write_bytes(bytes(range(256)) * 40)
    export(inbox / "broken.json", "Этот пост без номера.", number="none")

    dropped, known = time.monotonic(), len({source for source, _ in daemon.work_rows()})
    daemon.until(lambda: daemon.is_settled(known + 3), DROP_WAIT_S, "the dropped files are done")
    assert daemon.finds("hairline cracks in turbine blades", "doc/")
    assert daemon.finds("комета в созвездии Лиры", "tg/-1000000000077/1")
    seconds = time.monotonic() - dropped
    log.info("dropped files found after %.1f s", seconds)
    assert seconds < DROP_WAIT_S
    (letter,) = daemon.chatai("dead-letters", "list")
    assert (letter["stage"], letter["attempts"]) == ("parse", 1)
    assert letter["error_message"].startswith("Files of this type are not supported.")
    assert {path.name for path in (inbox / "done").iterdir()} == {"turbine.pdf", "result.json", "noise.bin"}
    assert {path.name for path in (inbox / "rejected").iterdir()} == {"broken.json", "broken.json.reason.txt"}
    assert "Record 1" in (inbox / "rejected" / "broken.json.reason.txt").read_text(encoding="utf-8")


def test_a_second_start_on_the_same_port_says_so_at_once(daemon: Daemon):
    done = run_command(run_target(daemon.home, daemon.port), clean_environment())
    assert done.returncode
    assert f"Port {daemon.port} is taken" in done.stderr
    assert daemon.processes()


def test_ctrl_c_ends_everything_and_the_next_start_continues(daemon: Daemon, samples_s: float):
    before, rows = daemon.chatai("status"), daemon.work_rows()
    log.info("all processes gone %.1f s after Ctrl-C", daemon.interrupt())
    (daemon.home / "inbox" / "heron.txt").write_text("The heron waits motionless beside the weir.", encoding="utf-8")
    again = start_make_run(daemon.home, daemon.home.parent / "again.txt")
    try:
        known = len({source for source, _ in rows})
        again.until(lambda: again.is_settled(known + 1), DROP_WAIT_S, "the new file is done")
        assert again.finds("a heron beside the weir", "doc/")
        after, rows_after = again.chatai("status"), again.work_rows()
        again.interrupt()
    finally:
        again.kill()
    assert {key: rows_after[key] for key in rows} == rows
    assert after["posts"] == before["posts"]
    assert after["documents"]["searchable"] == before["documents"]["searchable"] + 1


def test_bare_dagster_dev_in_the_project_folder_keeps_all_in_the_home(tmp_path: Path):
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "chatai_assets", project / "chatai_assets")
    for name in ("dagster.yaml", "workspace.yaml", "pyproject.toml"):
        shutil.copy(PROJECT / name, project)
    inbox = project / ".chatai" / "inbox"
    inbox.mkdir(parents=True)
    (inbox / "otter.txt").write_text("The otter cracks mussels on a flat stone.", encoding="utf-8")
    bare = start_dagster_dev(project, tmp_path / "log.txt")
    try:
        bare.until(lambda: bare.is_settled(1), DROP_WAIT_S, "the file is done")
        assert bare.finds("an otter and mussels", "doc/")
        bare.interrupt()
    finally:
        bare.kill()
    with home_instance(read_settings({"CHATAI_HOME": str(bare.home)})) as instance:
        # Upkeep has its own hours; one of them may have struck.
        asked = [run.job_name for run in instance.get_runs() if run.job_name not in UPKEEP_JOBS]
    assert asked == ["documents"]
    assert not list(project.glob(".tmp_dagster_home_*")), "Dagster removes what it kept for itself"
