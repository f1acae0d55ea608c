"""What goes on time: the assets of upkeep, their schedules, and which runs of Dagster may go."""

import time

import dagster as dg
from dagster import DagsterEventType
from sqlalchemy import update

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.ids import STREAMS
from chatai_assets.orchestration.assets.streams import asset_keys
from chatai_assets.orchestration.instance import home_instance
from chatai_assets.orchestration.jobs.streams import QUIET
from chatai_assets.orchestration.run_retention import delete_old_runs
from chatai_assets.orchestration.runs import UPKEEP_JOBS
from chatai_assets.storage import schema

PRIVATE = "Слонопотам"


def run_job(home, job):
    made = home.defs.resolve_job_def(job)
    return made.execute_in_process(instance=home.instance, raise_on_error=False, run_config=QUIET)


def let_expire(home):
    with home.records.begin() as connection:
        connection.execute(update(schema.posts).values(expires_at=int(time.time()) - 1))


def test_what_expired_is_removed_and_told_without_any_text(home):
    home.posts(range(1, 4), words=f"{PRIVATE} пришёл в Москву")
    home.document("a.txt", "Вчера Иван видел Лондон.".encode())
    for stream in STREAMS:
        home.run(stream, home.hour())
    let_expire(home)
    assert run_job(home, "expire").success
    told = home.metadata("upkeep", "expired")
    assert (told["items"], told["gone_points"], told["gone_posts"], told["complete"]) == (3, 3, 3, True)
    assert [record.data for record in told["tenants"].records] == [{"tenant": "t", "items": 3}]
    assert PRIVATE not in str(told)
    assert home.states("posts") == {"searchable": 0, "pending": 0, "failed": 0}
    assert home.states("documents") == {"searchable": 1, "pending": 0, "failed": 0}
    home.run("posts", home.hour())
    hour = home.metadata("posts", "indexed")
    assert (hour["hour_total"], hour["hour_gone"], hour["hour_open"]) == (3, 3, 0)
    assert run_job(home, "expire").success
    assert home.metadata("upkeep", "expired")["items"] == 0


def test_a_store_that_is_down_fails_the_sweep_with_a_sentence_and_the_next_goes_on(home, monkeypatch):
    home.posts(range(1, 4))
    home.run("posts", home.hour())
    let_expire(home)

    def down():
        raise StoreUnavailable("The graph cannot be reached.")

    monkeypatch.setattr("chatai_assets.orchestration.failures.STORE_RETRIES", 0)
    monkeypatch.setattr(home.services.graph, "writing", down)
    failed = run_job(home, "expire")
    (step,) = [event for event in failed.all_events if event.is_step_failure]
    assert step.step_failure_data.user_failure_data.description.startswith("The graph cannot be reached. What was done")
    monkeypatch.undo()
    assert run_job(home, "expire").success
    assert home.metadata("upkeep", "expired")["items"] == 3


def test_a_schedule_asks_for_nothing_while_its_last_run_goes_on(home, settings):
    names = {schedule.name: schedule for schedule in home.defs.schedules}
    assert sorted(names) == ["audit_on_time", "expire_on_time", "retain_on_time"]
    with home_instance(settings) as instance:
        context = dg.build_schedule_context(instance=instance)
        for name, schedule in names.items():
            assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
            assert isinstance(schedule(context), dg.RunRequest)
            instance.create_run_for_job(home.defs.resolve_job_def(name.removesuffix("_on_time")))
            assert isinstance(schedule(context), dg.SkipReason)


def latest(instance):
    keys = [key for stream in STREAMS for key in asset_keys(stream).values()] + [*UPKEEP_JOBS.values()]
    partitions = {key: instance.get_materialized_partitions(key) for key in keys}
    events = {
        key: instance.event_log_storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
        for key in keys
    }
    return partitions, events


def test_runs_that_no_status_rests_on_are_deleted_with_their_files(home, settings, monkeypatch):
    with home_instance(settings) as instance:
        home.instance = instance
        home.posts(range(1, 3), ago=1)
        for _ in range(2):
            home.run("posts", home.hour(1))
        monkeypatch.setitem(home.services.__dict__, "tagger", None)
        home.posts(range(3, 5))
        assert home.run("posts", home.hour()).failure
        assert run_job(home, "retain").success
        before, runs = latest(instance), {run.run_id: run for run in instance.get_runs()}
        assert len(runs) == 4
        assert delete_old_runs(instance, time.time() - 60) == 0
        assert delete_old_runs(instance, time.time() + 60) == 1
        assert latest(instance) == before
        left = {run.run_id for run in instance.get_runs()}
        (gone,) = runs.keys() - left
        assert runs[gone].tags["dagster/partition"] == home.hour(1)
        files = {file.name.partition(".")[0] for file in (settings.dagster_home / "history" / "runs").rglob("*.db")}
        assert gone not in files
        assert left <= files
        assert instance.get_run_by_id(gone) is None


def test_a_good_run_lets_the_bad_ones_before_it_go(home, monkeypatch):
    home.posts(range(1, 3))
    with monkeypatch.context() as broken:
        broken.setitem(home.services.__dict__, "tagger", None)
        home.run("posts", home.hour())
    assert delete_old_runs(home.instance, time.time() + 60) == 0
    assert home.run("posts", home.hour()).failure is None
    assert delete_old_runs(home.instance, time.time() + 60, at_most=1) == 1
    assert len(home.instance.get_runs()) == 1
    assert home.instance.get_materialized_partitions(asset_keys("posts")["tag"]) == {home.hour()}
