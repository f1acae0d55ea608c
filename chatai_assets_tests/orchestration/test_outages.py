"""What sensors and runs make of a part that is down."""

import time

import dagster as dg
import pytest

from chatai_assets.domain.circuit_breaker import format_time
from chatai_assets.domain.errors import ProviderUnreachable, StoreUnavailable
from chatai_assets.operations.outages import open_breaker
from chatai_assets.orchestration.build import build_defs
from chatai_assets.orchestration.checks import hour_complete_result
from chatai_assets.orchestration.jobs.streams import run_hour_here
from chatai_assets.orchestration.outages import NOTIFY_AFTER_S, StoreMonitor
from chatai_assets.orchestration.partitions import arrival_hours
from chatai_assets.orchestration.projection_monitor import ProjectionMonitor
from chatai_assets.orchestration.runs import trigger_of
from chatai_assets.orchestration.sensors import due_sensor
from chatai_assets.services import open_services
from chatai_assets.storage import outages
from chatai_assets_tests.operations.test_outages import Town
from chatai_assets_tests.orchestration.test_due_hours import asked, tick
from chatai_assets_tests.support.pipeline import read_status


@pytest.fixture
def moment(home):
    """A clock that goes when it is told to; the home's sensors and runs go by it."""
    now = [home.defs.resources["clock"]()]
    home.defs = build_defs(home.services.settings, services=home.services, clock=lambda: now[0])
    return now


def run(home, tags):
    return run_hour_here(home.defs, "posts", home.hour(), home.instance, tags)


def take_down(home, now, stage="tag", part="free"):
    error = ProviderUnreachable("Nobody answers.")
    assert open_breaker(lambda: home.records, "posts", stage, part, error, now)


def lasting(home):
    with home.records.reading() as connection:
        return outages.open_outages(connection)


def done_at(home, asset):
    return home.metadata("posts", asset)["run_done"]


def test_while_a_part_is_down_the_rest_goes_on_and_the_reason_is_told(home, moment):
    home.posts(range(1, 31))
    take_down(home, moment[0])
    (request,) = tick(home).run_requests
    assert request.tags["chatai/asked"] == "due"
    assert run(home, request.tags).failure is None
    assert (done_at(home, "tagged"), done_at(home, "indexed")) == (0, 30)
    assert "Nothing was asked of the free model, which is down" in home.metadata("posts", "tagged")["held_back"]
    said = tick(home).skip_message
    assert "The free model is down since" in said
    assert "Nobody answers. 30 posts wait; nothing is lost. The next probe is at" in said


def test_when_the_time_has_come_one_small_run_probes_and_then_everything_is_asked_for(home, moment):
    home.posts(range(1, 31))
    take_down(home, moment[0])
    run(home, {"chatai/asked": "due"})
    moment[0] += 61
    (probe,) = tick(home).run_requests
    assert probe.tags["chatai/asked"] == "probe"
    assert not tick(home).run_requests
    assert run(home, probe.tags).failure is None
    assert done_at(home, "tagged") == 20
    assert not lasting(home)
    assert asked(tick(home)) == [home.hour()]


def test_a_run_by_hand_is_a_probe_of_its_own(home, moment):
    home.posts(range(1, 31))
    take_down(home, moment[0])
    assert run(home, {}).failure is None
    assert done_at(home, "tagged") == 30
    assert not lasting(home)


def test_a_run_that_is_begun_again_counts_as_by_hand():
    assert trigger_of({"chatai/asked": "due"}) == "due"
    assert trigger_of({"chatai/asked": "due", "dagster/parent_run_id": "x"}) == trigger_of({}) == "by hand"


def test_a_run_that_an_outage_failed_opens_the_breaker_and_leaves_no_backoff(home, moment, monkeypatch):
    def unreachable(self, questions):
        raise ProviderUnreachable("Nobody answers.")

    home.posts(range(1, 6))
    monkeypatch.setattr("chatai_assets.adapters.models.fake.FirstWordsTagger.tag", unreachable)
    failed = run(home, {"chatai/asked": "due"})
    (down,) = lasting(home)
    assert (down.dependency, down.affected, down.since) == ("free", ("posts/tag",), moment[0])
    said = f"The free model is down since {format_time(moment[0])} UTC: Nobody answers. 5 posts wait at the stage 'tag'"
    assert (failed.failure or "").startswith(said)
    assert home.instance.get_runs()[0].tags["chatai/outage"] == "free"
    monkeypatch.undo()
    assert run(home, {}).failure is None
    home.posts(range(6, 9))
    result = tick(home)
    assert asked(result) == [home.hour()], result.skip_message


def test_status_and_the_check_say_what_is_down_and_what_catches_up(home, moment):
    home.posts(range(1, 4), ago=2)
    take_down(home, moment[0])
    told = read_status(home.services)
    assert told["hours_behind"] == [home.hour(ago=2)]
    assert told["catch_up"] == "chatai process"
    (down,) = told["outages"]
    assert (down["part"], down["reason"]) == ("free", "Nobody answers.")
    check = hour_complete_result({home.hour(ago=2): 3}, "posts", "The free model is down.")
    assert str(check.description).endswith("The free model is down.")


def test_a_breaker_for_which_nothing_waits_any_more_is_closed(home, moment):
    take_down(home, moment[0])
    sensor = home.defs.resolve_sensor_def("outages")
    result = sensor.evaluate_tick(dg.build_sensor_context(instance=home.instance, definitions=home.defs))
    assert not lasting(home)
    assert "Told: chatai_assets: the free model is down." in str(result.skip_message)


def test_a_record_store_that_is_down_stops_no_sensor_and_asks_for_no_run(settings):
    gone = settings.replace(database_url="postgresql://nobody:nothing@127.0.0.1:9/gone")
    hours = arrival_hours(settings.first_hour)
    with open_services(gone) as services, dg.DagsterInstance.ephemeral() as instance:
        sensor = due_sensor("posts", hours, settings.costs.budget, lambda: services, ProjectionMonitor(), time.time)
        result = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    assert not result.run_requests
    assert "Nothing is asked for until it works again" in str(result.skip_message)


def test_the_record_stores_own_outage_is_told_once_and_its_end_once_without_it(home):
    town, watch, cursor = Town(), StoreMonitor(), ""

    def gone():
        raise StoreUnavailable("The record store cannot be used: connection refused.", "records")

    for seconds in (0, 30, 60, 90):
        said, cursor = watch.check(gone, town, cursor, 1_000.0 + seconds)
        assert "connection refused" in said
    assert NOTIFY_AFTER_S < 60
    assert town.titles == ["chatai_assets: the record store is down"]
    restarted = StoreMonitor()
    _, cursor = restarted.check(gone, town, cursor, 1_120.0)
    assert len(town.titles) == 1
    _, cursor = restarted.check(lambda: home.records, town, cursor, 2_000.0)
    _, cursor = restarted.check(lambda: home.records, town, cursor, 2_030.0)
    assert town.titles[1:] == ["chatai_assets: the record store works again"]
    assert not cursor
