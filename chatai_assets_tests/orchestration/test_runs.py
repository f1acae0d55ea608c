import subprocess
import sys
import time
from collections.abc import Callable

import dagster as dg
import pytest

from chatai_assets.operations.recovery import StalledDetector
from chatai_assets.orchestration.runs import (
    PARTITION_TAG,
    STREAM_TAG,
    WORKER_TAG,
    backoffs,
    delay_after,
    end_lost_runs,
    streams_of,
    tag_worker,
)
from chatai_assets.orchestration.watchdog.heartbeat import alive_until, is_alive, run_heartbeat
from chatai_assets.storage.engine import open_records


@pytest.fixture
def records(tmp_path):
    opened = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    yield opened
    opened.close()


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = dg.DagsterRun(job_name="posts", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    return run


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found.status


def owner_that_ended() -> str:
    code = "from chatai_assets.pipeline.worker_id import new_lease_token; print(new_lease_token())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_started_run_whose_process_was_killed_is_failed(records):
    with dg.DagsterInstance.ephemeral() as instance:
        run = started(instance)
        instance.add_run_tags(run.run_id, {WORKER_TAG: f"{run.run_id}@{owner_that_ended()}"})
        assert end_lost_runs(instance, records) == [run.run_id]
        assert status_of(instance, run) is dg.DagsterRunStatus.FAILURE


def test_a_run_whose_process_lives_or_is_not_known_yet_is_left_alone(records):
    with dg.DagsterInstance.ephemeral() as instance:
        alive, unsigned = started(instance), started(instance)
        tag_worker(instance, alive.run_id)
        assert not end_lost_runs(instance, records)
        assert status_of(instance, unsigned) is dg.DagsterRunStatus.STARTED


def test_a_retry_that_inherited_the_signature_of_the_lost_run_is_left_alone(records):
    with dg.DagsterInstance.ephemeral() as instance:
        lost, retry = dg.DagsterRun(job_name="posts").run_id, started(instance)
        instance.add_run_tags(retry.run_id, {WORKER_TAG: f"{lost}@{owner_that_ended()}"})
        assert not end_lost_runs(instance, records)


def test_a_run_of_another_machine_is_failed_when_it_has_had_no_pulse_for_a_lease(records):
    with dg.DagsterInstance.ephemeral() as instance:
        run = started(instance)
        instance.add_run_tags(run.run_id, {WORKER_TAG: f"{run.run_id}@another.1/77/1/abc"})
        with run_heartbeat(records, run.run_id, lease_s=2.0):
            first = alive_until(records, run.run_id)
            until(lambda: alive_until(records, run.run_id) > first)
            assert not end_lost_runs(instance, records)
        until(lambda: not is_alive(records, run.run_id))
        assert end_lost_runs(instance, records) == [run.run_id]


def test_a_run_of_a_machine_that_was_lost_with_its_clock_ahead_is_failed_after_a_lease_without_news(records):
    moments = iter([0.0, 30.0, 61.0])
    silence = StalledDetector(lambda: next(moments))
    with dg.DagsterInstance.ephemeral() as instance:
        run = started(instance)
        instance.add_run_tags(run.run_id, {WORKER_TAG: f"{run.run_id}@another.1/77/1/abc"})
        with run_heartbeat(records, run.run_id, lease_s=7_200):
            assert [end_lost_runs(instance, records, silence, 60.0) for _ in range(3)] == [[], [], [run.run_id]]


def test_a_run_that_failed_in_the_future_holds_nothing_up():
    tags = {STREAM_TAG: "posts", PARTITION_TAG: "2026-11-21-22:00"}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(dg.DagsterRun(job_name="posts", status=dg.DagsterRunStatus.FAILURE, tags=tags))
        hours, now = [tags[PARTITION_TAG]], time.time()
        assert backoffs(instance, "posts", hours, now).keys() == {*hours}
        assert backoffs(instance, "posts", hours, now - 7_200) == {}


def test_the_streams_of_a_run_are_told_by_tag_job_or_picked_assets():
    picked = frozenset({dg.AssetKey(["documents", "parsed"]), dg.AssetKey(["posts", "tagged"])})
    assert streams_of(dg.DagsterRun(job_name="x", tags={"chatai/stream": "posts"})) == {"posts"}
    assert streams_of(dg.DagsterRun(job_name="documents")) == {"documents"}
    assert streams_of(dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=picked)) == {"posts", "documents"}
    assert streams_of(dg.DagsterRun(job_name="redo")) == set()


def test_the_delay_after_failures_doubles_up_to_fifteen_minutes():
    assert [delay_after(failures) for failures in range(8)] == [0, 30, 60, 120, 240, 480, 900, 900]
