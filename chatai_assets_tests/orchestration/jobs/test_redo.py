import dagster as dg
from sqlalchemy import select

from chatai_assets.storage.schema import work as work_table


def redo(home, **config):
    job = home.defs.resolve_job_def("redo")
    return job.execute_in_process(run_config=config, instance=home.instance, raise_on_error=False)


def rows(home):
    with home.records.reading() as connection:
        found = connection.execute(select(work_table)).mappings().all()
    return {(row["tenant_id"], row["source_key"], row["stage"]): (row["run_id"], row["state"]) for row in found}


def failure(result):
    return next(
        event.step_failure_data.user_failure_data.description for event in result.all_events if event.is_failure
    )


def test_redo_does_one_item_again_and_touches_no_other(home):
    home.posts(range(1, 6))
    home.run("posts", home.hour())
    before = rows(home)
    source = next(key for _, key, _ in before)
    result = redo(home, source=source)
    assert result.success
    after = rows(home)
    changed = {key for key in after if after[key] != before[key]}
    assert {key[1] for key in changed} == {source}
    assert {key[2] for key in changed} == {"parse", "tag", "enrich", "embed", "index", "link"}
    assert {state for _, state in after.values()} == {"done"}
    observed = [event for event in result.all_events if event.event_type == dg.DagsterEventType.ASSET_OBSERVATION]
    assert len(observed) == 6
    assert {event.asset_observation_data.asset_observation.metadata["source"].value for event in observed} == {source}


def test_redo_from_a_stage_leaves_the_stages_before_it_alone(home):
    home.posts(range(1, 3))
    home.run("posts", home.hour())
    before = rows(home)
    source = next(key for _, key, _ in before)
    assert redo(home, source=f" {source} ", stage="embed").success
    changed = {key[2] for key, row in rows(home).items() if row != before[key]}
    assert changed == {"embed", "index"}


def test_redo_says_what_is_wrong_with_its_source(home):
    home.posts(range(1, 3))
    assert "is no source key" in failure(redo(home, source="nonsense"))
    assert "There is no tg/1/1" in failure(redo(home, source="tg/1/1"))
    source = next(iter(rows(home)))[1]
    assert "not come to the stage 'link'" in failure(redo(home, source=source, stage="link"))


def test_redo_asks_for_the_tenant_where_two_have_the_source(home):
    home.posts(range(1, 2), tenant="a")
    home.posts(range(1, 2), tenant="b")
    home.run("posts", home.hour())
    before = rows(home)
    source = next(iter(before))[1]
    assert "2 tenants" in failure(redo(home, source=source))
    assert redo(home, source=source, tenant="b").success
    assert {key[0] for key, row in rows(home).items() if row != before[key]} == {"b"}
