import threading
import time

import dagster as dg
import pytest

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.orchestration.runs import WORKER_TAG
from chatai_assets.orchestration.sensors import BackgroundIngest
from chatai_assets.pipeline.worker_id import new_lease_token
from chatai_assets.storage import leases as claims
from chatai_assets.storage.leases import Claim


def test_all_sensors_are_on_without_a_click(home):
    sensors = home.defs.sensors
    watching = {
        "posts_due",
        "documents_due",
        "inbox_folder",
        "dead_letters",
        "outages",
        "upkeep",
        "forgotten",
        "filling",
    }
    assert {sensor.name for sensor in sensors} == watching
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}


def test_a_large_file_outlives_its_tick_and_is_not_begun_twice():
    taking, begun, may_end = BackgroundIngest(), [], threading.Event()

    def take() -> str:
        begun.append(True)
        may_end.wait(10)
        return "Took it."

    assert taking.poll(take, wait_s=0.05).startswith("Still taking in files")
    assert taking.poll(take, wait_s=0.05).startswith("Still taking in files")
    may_end.set()
    assert taking.poll(take, wait_s=5) == "Took it."
    assert len(begun) == 1


def test_a_tick_fails_when_the_store_is_down_and_the_next_tries_again():
    taking, answers = BackgroundIngest(), iter([StoreUnavailable("The record store is gone."), None])

    def take() -> str:
        error = next(answers)
        if error:
            raise error
        return "Took it."

    with pytest.raises(StoreUnavailable):
        taking.poll(take, wait_s=5)
    assert taking.poll(take, wait_s=5) == "Took it."


def test_a_file_in_the_inbox_folder_arrives(home, monkeypatch):
    monkeypatch.setattr("chatai_assets.pipeline.inbox_folder.SETTLED_S", 0.1)
    inbox = home.services.settings.inbox_folder
    inbox.mkdir(parents=True)
    (inbox / "note.txt").write_text("Some words about Paris.", encoding="utf-8")
    time.sleep(0.2)
    sensor = home.defs.resolve_sensor_def("inbox_folder")
    result = sensor.evaluate_tick(dg.build_sensor_context(instance=home.instance, definitions=home.defs))
    assert result.skip_message.startswith("Took 1 files (0 posts, 1 documents")
    assert home.due("documents") == {home.hour(): 1}
    assert (inbox / "done" / "note.txt").exists()


def test_upkeep_fails_a_run_whose_process_is_gone_and_frees_what_it_had(home):
    home.posts(range(1, 4))
    machine, _pid, _started, token = new_lease_token().rsplit("/", 3)
    gone, now = f"{machine}/1/never/{token}", time.time()
    with home.records.begin() as connection:
        assert claims.claim(connection, Claim(gone, "posts", "parse", home.hour(), 10, now, now + 600, "run")) == 3
    run = dg.DagsterRun(job_name="posts", status=dg.DagsterRunStatus.STARTED)
    home.instance.add_run(run)
    home.instance.add_run_tags(run.run_id, {WORKER_TAG: f"{run.run_id}@{gone}"})
    assert home.due("posts") == {}
    sensor = home.defs.resolve_sensor_def("upkeep")
    result = sensor.evaluate_tick(dg.build_sensor_context(instance=home.instance, definitions=home.defs))
    assert result.skip_message.startswith("Gave back the claims of 1 processes that are gone")
    assert home.due("posts") == {home.hour(): 3}
    assert home.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
