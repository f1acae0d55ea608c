"""The asset that audits: what it shows, and its checks."""

from chatai_assets.adapters.vectors.collection import LAYOUTS
from chatai_assets.orchestration.runs import UPKEEP_JOBS

PRIVATE = "Слонопотам"


def run_audit(home, *, repair=False, check="stores_agree"):
    """Materialize ``upkeep/audited``; return its metadata and one of its checks."""
    config = {"ops": {"upkeep__audited": {"config": {"repair": repair}}}}
    job = home.defs.resolve_job_def("audit")
    assert job.execute_in_process(instance=home.instance, run_config=config).success
    event = home.instance.get_latest_materialization_event(UPKEEP_JOBS["audit"])
    run = home.instance.get_run_by_id(event.run_id)
    results = [
        entry.dagster_event.event_specific_data
        for entry in home.instance.all_logs(run.run_id)
        if entry.dagster_event and entry.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    return home.metadata("upkeep", "audited"), {result.check_name: result for result in results}[check]


def test_an_audit_shows_what_differs_and_mends_it_when_asked_to(home):
    home.posts(range(1, 4), words=f"{PRIVATE} пришёл в Москву")
    home.run("posts", home.hour())
    told, check = run_audit(home)
    assert (told["vectors_expected"], told["vectors_found"], told["vectors_missing"], check.passed) == (3, 3, 0, True)
    ((gone, payload), *_) = home.services.vectors.points()
    with home.services.vectors.writing() as writer:
        writer.delete([gone])
    told, check = run_audit(home)
    assert (told["vectors_missing"], told["graph_missing"], check.passed) == (1, 0, False)
    assert check.description.startswith("1 parts of the vectors are not as the record store has them; `chatai audit")
    (row,) = told["examples"].records
    assert (row.data["difference"], row.data["source"]) == ("missing", payload["source"])
    assert PRIVATE not in str(told) + str(check)
    assert run_audit(home, repair=True)[0]["vectors_reopened"] == 1
    home.run("posts", home.hour())
    assert run_audit(home)[1].passed


def test_an_audit_says_that_a_newer_layout_of_the_index_is_available(home, monkeypatch):
    home.posts(range(1, 4))
    home.run("posts", home.hour())
    _, check = run_audit(home, check="layout_is_newest")
    assert (check.passed, check.description) == (True, "The vector index of free has the newest layout.")
    monkeypatch.setitem(LAYOUTS, 2, LAYOUTS[1])
    _, check = run_audit(home, check="layout_is_newest")
    assert not check.passed
    assert check.description == (
        "The vector index of free has layout 1, and layout 2 is available: `chatai reindex --rebuild`."
    )
