import time

from sqlalchemy import update

from chatai_assets.operations.recovery import reclaim_abandoned
from chatai_assets.pipeline.worker_id import new_lease_token
from chatai_assets.storage import leases as claims
from chatai_assets.storage import schema
from chatai_assets.storage.leases import Claim
from chatai_assets_tests.support.pipeline import due_hours, ingest_files, process_all, rows


def document_at_work(services, tmp_path, owner, lease_s):
    """Claim a document as a process would that dies or is cut off; return what is known of it."""
    (tmp_path / "a.txt").write_text("Вчера Иван видел Лондон.", encoding="utf-8")
    ingest_files(services, [tmp_path / "a.txt"])
    process_all(services, stages=["parse"])
    (hour,) = due_hours(services, "documents")
    now = time.time()
    with services.records.begin() as connection:
        claim = Claim(owner, "documents", "embed", hour, 10, now, now + lease_s, "run")
        assert claims.claim(connection, claim) == 1


def status_and_owners(services):
    (document,) = rows(services, schema.documents)
    return document["status"], {row["owner"] for row in rows(services, schema.work)}


def test_what_a_lost_machine_held_is_free_when_its_lease_has_run_out(services, tmp_path):
    owner = "another.1/77/1/abc"
    document_at_work(services, tmp_path, owner, lease_s=4.0)
    assert str(reclaim_abandoned(services.records)).endswith("0 documents that nobody processed.")
    assert status_and_owners(services) == ("processing", {None, owner})
    time.sleep(4.1)
    given = reclaim_abandoned(services.records)
    assert (given.claims, given.lapsed, given.documents) == (0, 1, 1)
    assert status_and_owners(services) == ("pending", {None})


def test_what_a_process_of_this_machine_held_is_free_once_it_is_gone(services, tmp_path):
    machine, _pid, _started, token = new_lease_token().rsplit("/", 3)
    document_at_work(services, tmp_path, f"{machine}/1/never/{token}", lease_s=600)
    given = reclaim_abandoned(services.records)
    assert (given.claims, given.lapsed, given.documents) == (1, 0, 1)


def test_a_document_that_is_taken_up_again_shows_it(services, tmp_path):
    document_at_work(services, tmp_path, "another.1/77/1/abc", lease_s=-1)
    reclaim_abandoned(services.records)
    process_all(services, stages=["embed"])
    assert status_and_owners(services) == ("processing", {None})
    with services.records.begin() as connection:
        connection.execute(update(schema.documents).values(status="completed"))
    assert reclaim_abandoned(services.records).documents == 0
