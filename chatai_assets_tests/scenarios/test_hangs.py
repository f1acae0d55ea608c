"""A stage that hangs, in a run in a process of its own: stopped with its name, all given back, nothing left running."""

import subprocess
import time

import dagster as dg
import pytest
from dagster._core.instance import InstanceRef

from chatai_assets.orchestration.instance import prepare_dagster_home
from chatai_assets.services import Services
from chatai_assets.settings import Settings, read_settings
from chatai_assets.storage import schema
from chatai_assets_tests.support.daemon import BIN, clean_environment, find_processes
from chatai_assets_tests.support.hanging import HANGS
from chatai_assets_tests.support.pipeline import due_hours, ingest_posts, message, process_all, rows, states

DEADLINE_S = 2
PATIENCE_S = 60.0
STAGES_BEFORE = "key:posts/parsed or key:posts/tagged"


def environment(settings: Settings) -> dict[str, str]:
    return {
        **clean_environment(),
        "CHATAI_HOME": str(settings.home),
        "CHATAI_MODELS": "free",
        "CHATAI_STAGE_DEADLINE_S_TAG": str(DEADLINE_S),
        "DAGSTER_HOME": str(settings.dagster_home),
    }


def materialize(settings: Settings, hour: str, **variables: str) -> int:
    """Run two stages of an hour in a process of their own; return its exit code."""
    command = [str(BIN / "dagster"), "asset", "materialize", "-m", "chatai_assets_tests.support.hanging"]
    options = ["--select", STAGES_BEFORE, "--partition", hour]
    with subprocess.Popen(
        [*command, *options],
        env=environment(settings) | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        return process.wait(PATIENCE_S)


@pytest.mark.parametrize("hang", HANGS)
def test_a_stage_that_hangs_is_failed_by_name_and_the_next_run_does_its_work(tmp_path, hang):
    settings = read_settings({"CHATAI_HOME": str(tmp_path / "home"), "CHATAI_MODELS": "free"})
    prepare_dagster_home(settings)
    with Services(settings) as services:
        ingest_posts(services, [message(1, "Вчера Иван видел Лондон.")], now=time.time())
        (hour,) = due_hours(services, "posts")
        assert materialize(settings, hour, HANG=hang)
        until_nothing_runs(settings)
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(settings.dagster_home))) as instance:
            sentence, seconds = failure(instance)
        assert f"over the deadline of the stage 'tag' of posts, {DEADLINE_S} s" in sentence
        assert seconds < DEADLINE_S + 5
        assert [row["owner"] for row in rows(services, schema.work)] == [None, None, None, None]
        assert states(services, "tg/-1000000000123/1")["tag"] == "pending"
        process_all(services)
        assert states(services, "tg/-1000000000123/1")["tag"] == "done"


def failure(instance: dg.DagsterInstance) -> tuple[str, float]:
    """Return why the one run failed, and how long after its stage began that was known."""
    (record,) = instance.get_run_records()
    assert record.dagster_run.status is dg.DagsterRunStatus.FAILURE
    said, began, ended = "", 0.0, 0.0
    for entry in instance.all_logs(record.dagster_run.run_id):
        event = entry.dagster_event
        if event and event.is_step_start:
            began = entry.timestamp
        if event and event.is_step_failure and event.step_failure_data.user_failure_data:
            said += event.step_failure_data.user_failure_data.description or ""
        if event and event.is_failure and not event.is_step_event:
            said, ended = said + (event.message or ""), entry.timestamp
    return said, ended - began


def until_nothing_runs(settings: Settings) -> None:
    deadline = time.monotonic() + PATIENCE_S / 4
    while left := find_processes(settings.home):
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.1)
