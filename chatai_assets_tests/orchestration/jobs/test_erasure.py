import dagster as dg
from sqlalchemy import select

from chatai_assets.operations.erasure import erase_from_store
from chatai_assets.storage.schema import posts
from chatai_assets_tests.orchestration.jobs.test_redo import failure
from chatai_assets_tests.support.erasure import erasure_stores


def forget(home, **config):
    job = home.defs.resolve_job_def("forget")
    return job.execute_in_process(run_config=config, instance=home.instance, raise_on_error=False)


def test_the_job_forgets_one_item_and_touches_no_other(home):
    home.posts(range(1, 4))
    home.run("posts", home.hour())
    with home.records.reading() as connection:
        source, other = connection.execute(select(posts.c.source_key).order_by(posts.c.seq)).scalars().all()[:2]
    assert forget(home, source=f" {source} ").success
    with home.records.reading() as connection:
        left = connection.execute(select(posts.c.source_key)).scalars().all()
    assert (source in left, other in left, len(left)) == (False, True, 2)
    assert home.services.vectors.count({"tenant_id": "t", "source": source}) == 0
    assert home.states("posts") == {"searchable": 2, "pending": 0, "failed": 0}
    assert "There is no tg/1/1" in failure(forget(home, source="tg/1/1"))


def test_a_sensor_asks_for_a_run_that_finishes_what_was_begun(home):
    home.posts(range(1, 2))
    home.run("posts", home.hour())
    sensor = home.defs.resolve_sensor_def("forgotten")
    context = dg.build_sensor_context(instance=home.instance, definitions=home.defs)
    assert sensor.evaluate_tick(context).skip_message == "Nothing is leaving."
    with home.records.reading() as connection:
        source = connection.execute(select(posts.c.source_key)).scalar_one()
    erase_from_store(erasure_stores(home.services), source)
    assert len(sensor.evaluate_tick(context).run_requests) == 1
    job = home.defs.resolve_job_def("finish_forgetting")
    assert job.execute_in_process(instance=home.instance).success
    assert home.services.vectors.count() == 0
    assert sensor.evaluate_tick(context).skip_message == "Nothing is leaving."


def test_the_history_of_runs_holds_no_word_of_a_post(home):
    home.posts(range(1, 4))
    home.run("posts", home.hour())
    with home.records.reading() as connection:
        words = {word for text in connection.execute(select(posts.c.text)).scalars() for word in text.split()}
    long = {word for word in words if len(word) > 4}
    assert long
    events = [repr(record) for record in home.instance.all_logs(home.instance.get_runs()[0].run_id)]
    assert events
    assert {word for word in long if any(word in event for event in events)} == set()
