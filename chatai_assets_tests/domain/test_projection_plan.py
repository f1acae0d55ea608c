from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.projection_plan import LedgerEntry, Plan, plan_index

NOTHING = LedgerEntry(intended={}, confirmed={})
VERSIONS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2"]))
ENDS = st.sampled_from(["before the write", "after the write", "confirmed"])


def applied(store: dict[str, str], desired: dict[str, str], plan: Plan) -> dict[str, str]:
    kept = {key: value for key, value in store.items() if key not in plan.deletes}
    return kept | {key: desired[key] for key in plan.upserts}


def test_a_confirmed_plan_leaves_nothing_to_do():
    desired = {"a": "1", "b": "2"}
    assert plan_index(desired, LedgerEntry(intended={}, confirmed=desired)).empty


def test_what_is_no_longer_desired_is_deleted():
    assert plan_index({"a": "1"}, LedgerEntry(intended={"c": ""}, confirmed={"a": "1", "b": "2"})) == Plan(
        (), ("b", "c")
    )


def test_a_deletion_that_was_not_confirmed_is_made_good_when_the_id_comes_back():
    recorded = LedgerEntry(intended={}, confirmed={"a": "1"})
    killed = LedgerEntry(intended=plan_index({}, recorded).intention, confirmed=recorded.confirmed)
    assert plan_index({"a": "1"}, killed).upserts == ("a",)


@given(st.lists(st.tuples(VERSIONS, ENDS)), VERSIONS)
def test_whatever_is_killed_the_last_version_stands_alone(history, last):
    store: dict[str, str] = {}
    recorded = NOTHING
    for desired, end in [*history, (last, "confirmed")]:
        plan = plan_index(desired, recorded)
        recorded = LedgerEntry(intended=plan_index(desired, recorded).intention, confirmed=recorded.confirmed)
        if end != "before the write":
            store = applied(store, desired, plan)
        if end == "confirmed":
            recorded = LedgerEntry(intended={}, confirmed=desired)
    assert store == last
