from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from chatai_assets.domain.ids import ItemKey, hour_of
from chatai_assets.storage import inbox
from chatai_assets.storage import leases as claims
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import open_records
from chatai_assets.storage.schema import documents, posts
from chatai_assets.storage.schema import inbox as arrived
from chatai_assets_tests.support.arrivals import HOUR, NOON, arrival, document, receive_arrivals


def latest(records, key="tg/1/1", tenant="t"):
    with records.reading() as connection:
        columns = (posts.c.content_hash, posts.c.revised_at, posts.c.seq)
        return connection.execute(select(*columns).where(posts.c.tenant_id == tenant, posts.c.source_key == key)).one()


def size(records, table=arrived):
    with records.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def stages(records, key="tg/1/1", tenant="t"):
    with records.reading() as connection:
        return {row["stage"]: row for row in work.stages_of(connection, ItemKey(tenant, key))}


def test_arrivals_are_pending_at_the_first_stage(records):
    assert receive_arrivals(records, arrival()) == ["latest"]
    row = stages(records)["parse"]
    assert (row["state"], row["hour"], row["attempts"], row["owner"]) == ("pending", HOUR, 0, None)


def test_the_same_arrivals_again_add_nothing(records):
    once = [arrival(1), arrival(1, "b", 20), arrival(1, "b", 25), arrival(1, "a", 30), arrival(2), arrival(1, "c", 5)]
    receive_arrivals(records, *once)
    before = size(records), latest(records)
    assert set(receive_arrivals(records, *once)) == {"unchanged"}
    assert (size(records), latest(records)) == before


def test_ties_go_to_the_later_arrival_and_stay_there(records):
    tied = [arrival(content="a"), arrival(content="b")]
    receive_arrivals(records, *tied)
    assert receive_arrivals(records, *tied, *tied) == ["unchanged"] * 4
    assert latest(records).content_hash == "b"


def test_a_revision_between_two_dates_of_the_same_words_is_superseded(records):
    assert receive_arrivals(records, arrival(date=1), arrival(date=5), arrival(content="b", date=3)) == [
        "latest",
        "unchanged",
        "superseded",
    ]
    assert latest(records)[:2] == ("a", 5)


def test_an_older_revision_makes_no_work(records):
    receive_arrivals(records, arrival(content="b", date=20))
    before = stages(records)
    assert receive_arrivals(records, arrival(content="a", date=10)) == ["superseded"]
    assert stages(records) == before
    assert size(records) == 2


def test_an_edit_is_pending_at_the_first_stage_in_the_hour_of_its_arrival(records):
    receive_arrivals(records, arrival())
    with records.begin() as connection:
        claims.claim(connection, claims.Claim("x", "posts", "parse", HOUR, 10, NOON, NOON + 60, "run"))
        work.enqueue(connection, "x", ["tag"], now=NOON)
    assert receive_arrivals(records, arrival(content="b", date=20), now=NOON + 3_600) == ["latest"]
    assert stages(records).keys() == {"parse"}
    row = stages(records)["parse"]
    assert (row["state"], row["owner"], row["hour"]) == ("pending", None, hour_of(NOON + 3_600))


def test_an_edit_within_one_file_that_takes_all_words_away_counts(records):
    gone = arrival(content="", date=20, has_words=False)
    assert receive_arrivals(records, arrival(), gone) == ["latest", "latest"]
    assert latest(records).content_hash == ""


def test_a_post_that_never_had_words_is_no_item(records):
    assert receive_arrivals(records, arrival(content="", has_words=False)) == ["skipped"]
    assert (size(records), size(records, posts)) == (0, 0)


def test_a_clock_that_was_set_back_makes_no_older_hour(records):
    receive_arrivals(records, arrival(1), now=NOON)
    receive_arrivals(records, arrival(2), now=NOON - 7_200)
    assert stages(records, "tg/1/2")["parse"]["hour"] == HOUR
    receive_arrivals(records, arrival(3), now=NOON + 3_600)
    assert stages(records, "tg/1/3")["parse"]["hour"] == hour_of(NOON + 3_600)


def test_two_tenants_share_no_item(records):
    receive_arrivals(records, arrival(content="a", tenant="t"))
    assert receive_arrivals(records, arrival(content="a", tenant="u")) == ["latest"]
    receive_arrivals(records, arrival(content="b", date=20, tenant="u"))
    assert (latest(records).content_hash, latest(records, tenant="u").content_hash) == ("a", "b")


def test_a_file_brought_back_after_another_is_a_new_revision(records):
    outcomes = [receive_arrivals(records, document(content), now=NOON)[0] for content in ("x", "y", "y", "x")]
    assert outcomes == ["latest", "latest", "unchanged", "latest"]
    assert size(records) == 3


def test_a_file_brought_after_the_clock_was_set_back_is_not_lost(records):
    receive_arrivals(records, document("x"))
    assert receive_arrivals(records, document("y", date=int(NOON) - 500), now=NOON - 500) == ["latest"]


def test_a_copy_in_another_folder_is_the_same_document_but_a_known_file_keeps_its_own(records):
    receive_arrivals(records, document("x", key="doc/1"))
    receive_arrivals(records, document("y", key="doc/2"))
    with records.begin() as connection:
        assert inbox.find_document_key(connection, "t", "doc/3", "a.txt", "y") == "doc/2"
        assert inbox.find_document_key(connection, "t", "doc/3", "b.txt", "y") == "doc/3"
        assert inbox.find_document_key(connection, "t", "doc/1", "a.txt", "y") == "doc/1"
        assert inbox.find_document_key(connection, "u", "doc/3", "a.txt", "y") == "doc/3"


def test_a_new_revision_of_a_failed_document_is_pending_without_its_old_error(records):
    receive_arrivals(records, document("x"))
    with records.begin() as connection:
        connection.execute(documents.update().values(status="failed", error="Ошибка / Error", error_code="corrupt"))
    receive_arrivals(records, document("y"))
    with records.reading() as connection:
        row = connection.execute(select(documents)).mappings().one()
    assert (row["status"], row["error"], row["error_code"]) == ("pending", None, None)


def test_a_new_item_that_arrives_twice_at_once_is_classified_once(records):
    revisions = [arrival(content=str(date), date=date) for date in range(1, 13)]
    threads = [Thread(target=receive_arrivals, args=(records, *revisions[start::3])) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert latest(records)[:2] == ("12", 12)
    assert size(records) == 12


revisions = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), min_size=1, max_size=6, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_order_duplication_and_cut_of_arrivals_ends_with_the_same_latest(data):
    dated = {date: arrival(content=content, date=date) for content, date in data.draw(revisions)}
    brought = [each for each in dated.values() for _ in range(data.draw(st.integers(1, 3)))]
    order = data.draw(st.permutations(brought))
    cut = data.draw(st.integers(0, len(order)))
    with TemporaryDirectory() as folder:
        records = open_records(f"sqlite:///{Path(folder) / 'r.sqlite'}")
        for batch in filter(None, (order[:cut], order[cut:])):
            receive_arrivals(records, *batch)
        newest = dated[max(dated)]
        assert latest(records)[:2] == (newest.content_hash, newest.revised_at)
        before = size(records)
        receive_arrivals(records, *order)
        assert latest(records)[:2] == (newest.content_hash, newest.revised_at)
        assert size(records) <= before + len(dated)
        records.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(revisions, st.data())
def test_a_file_brought_twice_adds_nothing_whatever_its_ties_and_however_it_is_cut(pairs, data):
    file = [arrival(content=content, date=date) for content, date in pairs]
    file += data.draw(st.lists(st.sampled_from(file), max_size=4))
    cut = data.draw(st.integers(0, len(file)))
    with TemporaryDirectory() as folder:
        records = open_records(f"sqlite:///{Path(folder) / 'r.sqlite'}")
        receive_arrivals(records, *file)
        before = size(records), latest(records)
        for batch in filter(None, (file[:cut], file[cut:])):
            assert set(receive_arrivals(records, *batch)) == {"unchanged"}
        assert (size(records), latest(records)) == before
        records.close()
