import shutil
import time

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from sqlalchemy import update

from chatai_assets.domain.ids import hour_of
from chatai_assets.orchestration.assets.streams import asset_keys
from chatai_assets.orchestration.due_hours import EMPTY_HOURS_A_TICK, RUNS_A_TICK, EmptyHours
from chatai_assets.orchestration.runs import backoffs
from chatai_assets.storage.schema import work as work_table


def tick(home, stream="posts"):
    """Evaluate a sensor as the daemon does, and keep what it reports."""
    sensor = home.defs.resolve_sensor_def(f"{stream}_due")
    context = dg.build_sensor_context(instance=home.instance, definitions=home.defs)
    result = sensor.evaluate_tick(context)
    for event in result.asset_events:
        home.instance.report_runless_asset_event(event)
    return result


def asked(result):
    return [request.partition_key for request in result.run_requests]


def run_of(home, hour, status, *, stream="posts", run_id=None, tags=None, **kwargs):
    """Put a run into the instance, as the daemon, the UI or a backfill would have."""
    job_name = kwargs.pop("job_name", stream)
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("chatai_assets"), "__repository__")
    run = dg.DagsterRun(
        job_name=job_name,
        remote_job_origin=RemoteJobOrigin(repository, job_name),
        run_id=run_id,
        status=status,
        tags={"chatai/stream": stream, "dagster/partition": hour} if tags is None else tags,
        **kwargs,
    )
    home.instance.add_run(run)
    return run


def fail_run(home, hour):
    run = run_of(home, hour, dg.DagsterRunStatus.STARTED)
    home.instance.report_run_failed(run)


def test_an_hour_with_due_work_gets_one_run_without_a_run_key(home):
    home.posts(range(1, 4))
    result = tick(home)
    assert asked(result) == [home.hour()]
    assert result.run_requests[0].run_key is None
    assert home.defs.resolve_job_def("posts").run_tags["chatai/stream"] == "posts"
    assert tick(home, "documents").skip_message == "Nothing of the documents is due."


def test_a_lost_graph_is_noticed_when_nothing_else_is_due(home):
    home.posts(range(1, 4))
    home.run("posts", home.hour())
    assert asked(tick(home)) == []
    size = home.services.graph.count()
    shutil.rmtree(home.services.settings.home / "graph")
    assert asked(tick(home)) == [home.hour()]
    home.run("posts", home.hour())
    assert home.services.graph.count() == size
    assert asked(tick(home)) == []


def test_an_hour_is_asked_for_again_when_its_run_left_something(home):
    home.posts(range(1, 4))
    hour = asked(tick(home))[0]
    run_of(home, hour, dg.DagsterRunStatus.SUCCESS)
    assert asked(tick(home)) == [hour]


def test_an_hour_whose_run_is_queued_or_starting_or_started_gets_no_second(home):
    home.posts(range(1, 4))
    for status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED):
        run = run_of(home, home.hour(), status)
        result = tick(home)
        assert not result.run_requests
        assert f"A run is open for {home.hour()}" in result.skip_message
        home.instance.delete_run(run.run_id)
    assert asked(tick(home)) == [home.hour()]


def test_a_run_begun_in_the_ui_or_by_a_backfill_counts_as_open(home):
    home.posts(range(1, 4))
    picked = frozenset({dg.AssetKey(["posts", "parsed"])})
    run_of(
        home,
        home.hour(),
        dg.DagsterRunStatus.QUEUED,
        job_name="__ASSET_JOB",
        tags={"dagster/partition": home.hour(), "dagster/backfill": "abc"},
        asset_selection=picked,
    )
    assert not tick(home).run_requests


def test_an_open_run_of_the_other_stream_or_another_hour_holds_nothing_up(home):
    home.posts(range(1, 4))
    run_of(home, home.hour(), dg.DagsterRunStatus.STARTED, stream="documents")
    run_of(home, home.hour(ago=3), dg.DagsterRunStatus.STARTED)
    assert asked(tick(home)) == [home.hour()]


def test_after_a_failed_run_the_hour_is_left_alone_and_the_reason_is_told(home):
    home.posts(range(1, 4))
    fail_run(home, home.hour())
    result = tick(home)
    assert not result.run_requests
    assert f"1 run of {home.hour()} failed; it is left alone until" in result.skip_message


def test_backoff_doubles_with_each_failure_and_ends_with_a_good_run(home):
    hour, now = home.hour(), time.time()
    delays = []
    for _ in range(3):
        fail_run(home, hour)
        delays.append(round(backoffs(home.instance, "posts", [hour], now)[hour].until - time.time()))
    assert [abs(delay - wanted) <= 2 for delay, wanted in zip(delays, (30, 60, 120), strict=True)] == [True] * 3
    assert not backoffs(home.instance, "posts", [hour], now + 125)
    assert not backoffs(home.instance, "documents", [hour], now)
    run_of(home, hour, dg.DagsterRunStatus.SUCCESS)
    assert not backoffs(home.instance, "posts", [hour], now)


def test_a_run_that_was_told_to_stop_does_not_count_as_failed(home):
    hour = home.hour()
    run = run_of(home, hour, dg.DagsterRunStatus.STARTED)
    reason = JobFailureData(None, RunFailureReason.UNEXPECTED_TERMINATION)  # as Dagster reports a signal it has caught
    home.instance.report_run_failed(run, "Execution was interrupted unexpectedly.", reason)
    assert not backoffs(home.instance, "posts", [hour], time.time())
    fail_run(home, hour)
    assert backoffs(home.instance, "posts", [hour], time.time())[hour].failures == 1


def test_the_live_hour_comes_first_and_a_tick_asks_for_at_most_twenty(home):
    for ago in range(30, -1, -1):
        home.posts(range(ago + 1, ago + 2), ago=ago)
    result = tick(home)
    assert len(asked(result)) == RUNS_A_TICK == 20
    assert asked(result) == [home.hour(ago) for ago in range(20)]
    assert result.run_requests[0].tags["dagster/priority"] > result.run_requests[1].tags.get("dagster/priority", "0")


def test_a_key_that_is_no_partition_is_dropped_and_named(home):
    home.posts(range(1, 2), ago=1)
    home.posts(range(2, 3))
    with home.records.begin() as connection:
        old = update(work_table).where(work_table.c.hour == home.hour(ago=1))
        connection.execute(old.values(hour="1999-01-01-00:00"))
    assert asked(tick(home)) == [home.hour()]
    run_of(home, home.hour(), dg.DagsterRunStatus.STARTED)
    assert "are no partitions, and were dropped: 1999-01-01-00:00" in tick(home).skip_message


def test_quiet_hours_are_reported_once_and_hours_with_open_work_are_not(home):
    home.posts(range(1, 3), ago=2)
    keys = asset_keys("posts").values()
    seen = [len(tick(home).asset_events) // len(keys) for _ in range(5)]
    assert seen[0] == seen[1] == EMPTY_HOURS_A_TICK
    assert seen[-1] == 0
    reported = home.instance.get_materialized_partitions(dg.AssetKey(["posts", "linked"]))
    assert home.hour(ago=2) not in reported
    assert home.hour(ago=3) in reported
    assert home.hour() not in reported
    assert sum(seen) == len(reported)
    assert home.metadata("posts", "parsed")["hour_total"] == 0
    assert not home.instance.get_materialized_partitions(dg.AssetKey(["documents", "linked"]))


def test_an_hour_is_quiet_only_five_minutes_after_it_closed(home):
    start = 1_800_000_000 // 3_600 * 3_600
    moment = [start + 3_600 + 299.0]
    quiet = EmptyHours("posts", lambda: [hour_of(start), hour_of(start + 3_600)], clock=lambda: moment[0])
    assert not quiet.events(home.records, home.instance)
    moment[0] += 1
    assert len(quiet.events(home.records, home.instance)) == 6
