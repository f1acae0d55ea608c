"""The asset by which another model comes to serve."""

import dagster as dg

from chatai_assets.operations.reindexing import start
from chatai_assets.orchestration.jobs.streams import QUIET
from chatai_assets_tests.orchestration.assets.test_audit import PRIVATE
from chatai_assets_tests.support.reindexing import reindex_context


def run_reindex(home, **config):
    """Materialize ``upkeep/reindexed``; return whether that succeeded and what a failure says."""
    job = home.defs.resolve_job_def("reindex")
    given = {**QUIET, "ops": {"upkeep__reindexed": {"config": config}}}
    done = job.execute_in_process(instance=home.instance, run_config=given, raise_on_error=False)
    said = [event.step_failure_data.user_failure_data.description for event in done.all_events if event.is_step_failure]
    return done.success, " ".join(said)


def test_another_model_serves_and_the_figures_of_both_are_shown(home):
    home.posts(range(1, 6), words=f"{PRIVATE} пришёл в Москву")
    home.run("posts", home.hour())
    assert run_reindex(home, to="free:512") == (True, "")
    told = home.metadata("upkeep", "reindexed")
    assert (told["items"], told["points_written"], told["texts_embedded"], told["serves"]) == (5, 5, 5, True)
    assert {record.data["index"] for record in told["retrieval"].records} == {"before", "after"}
    assert told["after_recall_at_10_by_meaning_alone"] == told["before_recall_at_10_by_meaning_alone"] > 0
    assert PRIVATE not in str(told)
    assert home.services.indexes.serving_now().embedder == "free:512"
    home.posts(range(6, 7), words="Жираф")
    home.run("posts", home.hour())
    assert run_reindex(home, back=True) == (True, "")
    assert home.metadata("upkeep", "reindexed")["texts_embedded"] == 1
    assert run_reindex(home, drop_old=True) == (True, "")
    assert home.metadata("upkeep", "reindexed")["dropped"] == "free:512"
    assert run_reindex(home, rebuild=True) == (True, "")
    assert home.services.indexes.serving_now().number == 3


def test_a_bad_model_and_a_wish_that_cannot_be_fail_with_a_sentence(home):
    home.posts(range(1, 25))
    home.run("posts", home.hour())
    good, said = run_reindex(home, to="free:2")
    assert not good
    assert said.startswith("free:2 does not serve: ")
    assert home.services.indexes.serving_now().embedder == "free"
    assert run_reindex(home, to="bert")[1].startswith("'bert' names no embedder")
    assert run_reindex(home) == (True, "")
    assert home.metadata("upkeep", "reindexed")["refused"]
    assert run_reindex(home, give_up=True) == (True, "")
    assert run_reindex(home)[1].startswith("No index is being filled")


def test_a_sensor_has_what_was_begun_gone_on_with(home):
    home.posts(range(1, 5))
    home.run("posts", home.hour())
    sensor = home.defs.resolve_sensor_def("filling")

    def tick():
        return sensor(dg.build_sensor_context(instance=home.instance))

    assert isinstance(tick(), dg.SkipReason)
    means = reindex_context(home.services)
    start(means, *home.services.resolve_embedder("free:512"))
    assert isinstance(tick(), dg.RunRequest)
    assert run_reindex(home) == (True, "")
    assert home.services.indexes.serving_now().embedder == "free:512"
    assert tick().skip_message == "No index waits to be filled."
    start(means, *home.services.resolve_embedder("free:2"))
    assert tick().skip_message == "The next run is asked for five minutes after the last one."
