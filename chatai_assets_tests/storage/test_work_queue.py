import os
import subprocess
import sys
from collections import Counter
from threading import Barrier, Thread

import pytest

from chatai_assets.domain.ids import ItemKey
from chatai_assets.pipeline.worker_id import is_dead, is_running, new_lease_token
from chatai_assets.storage import dead_letters
from chatai_assets.storage import leases as claims
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.dead_letters import DeadLetterFilter
from chatai_assets.storage.schema import work as rows
from chatai_assets_tests.support.arrivals import HOUR, NOON, arrival, receive_arrivals

LEASE_S = 60.0


def claim(records, owner, limit=10, *, now=NOON, stage="parse", only=None):
    with records.begin() as connection:
        return claims.claim(
            connection, claims.Claim(owner, "posts", stage, HOUR, limit, now, now + LEASE_S, f"run {owner}"[:64], only)
        )


def held(records, owner):
    with records.begin() as connection:
        return claims.still_owned(connection, owner)


def numbers(records, owner):
    return sorted(int(source.rpartition("/")[2]) for _, source in held(records, owner))


def row(records, number=1, stage="parse"):
    with records.reading() as connection:
        return next(row for row in work.stages_of(connection, ItemKey("t", f"tg/1/{number}")) if row["stage"] == stage)


def test_the_oldest_arrivals_are_taken_first_and_by_one_owner_only(records):
    receive_arrivals(records, *(arrival(number) for number in (3, 1, 2)))
    assert (claim(records, "a", 2), claim(records, "b", 2), claim(records, "c", 2)) == (2, 1, 0)
    assert (numbers(records, "a"), numbers(records, "b")) == ([1, 3], [2])
    assert (row(records)["state"], row(records)["run_id"]) == ("working", "run a")


def test_owners_who_ask_at_once_share_the_work_and_no_row(records):
    receive_arrivals(records, *(arrival(number) for number in range(200)))
    start, taken = Barrier(4), Counter[str]()

    def take(name):
        start.wait()
        while size := claim(records, f"{name}/{taken[name]}", 7):
            taken[name] += size

    threads = [Thread(target=take, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.total() == 200


def test_claims_are_round_robin_between_tenants(records):
    receive_arrivals(records, *(arrival(number) for number in range(50)))
    receive_arrivals(records, *(arrival(number, tenant="u") for number in range(3)))
    claim(records, "a", 6)
    assert Counter(tenant for tenant, _ in held(records, "a")) == {"t": 3, "u": 3}


def test_a_redo_takes_its_item_and_no_other(records):
    receive_arrivals(records, arrival(1), arrival(2))
    assert claim(records, "a", only=ItemKey("t", "tg/1/2")) == 1
    assert numbers(records, "a") == [2]


def test_a_claim_that_is_not_renewed_expires(records):
    receive_arrivals(records, arrival())
    claim(records, "slow")
    assert claim(records, "fast", now=NOON + LEASE_S - 1) == 0
    with records.begin() as connection:
        claims.renew(connection, "slow", NOON + 2 * LEASE_S)
    assert claim(records, "fast", now=NOON + LEASE_S + 1) == 0
    assert claim(records, "fast", now=NOON + 2 * LEASE_S + 1) == 1
    with records.begin() as connection:
        assert claims.still_owned(connection, "slow") == set()
        assert work.mark_done(connection, "slow", fingerprint="x", now=NOON) == 0
        claims.renew(connection, "slow", NOON + 1e6)
    assert row(records)["state"] == "working"
    assert row(records)["lease_until"] < NOON + 1e6


@pytest.mark.parametrize("taker", ["a newer revision", "a redo"])
def test_what_was_taken_away_can_no_longer_be_committed(records, taker):
    receive_arrivals(records, arrival(1), arrival(2))
    claim(records, "slow")
    if taker == "a redo":
        with records.begin() as connection:
            assert work.redo(connection, ItemKey("t", "tg/1/1"), "parse", now=NOON) == HOUR
    else:
        receive_arrivals(records, arrival(1, "b", 20))
    with records.begin() as connection:
        assert claims.still_owned(connection, "slow") == {ItemKey("t", "tg/1/2")}
        work.mark_failed(connection, "slow", [(ItemKey("t", "tg/1/1"), "X")], now=NOON)
        work.reschedule(connection, "slow", [(ItemKey("t", "tg/1/1"), "X", NOON)], now=NOON)
        work.enqueue(connection, "slow", ["tag"], now=NOON)
        assert work.mark_done(connection, "slow", fingerprint="x", now=NOON) == 1
        assert {found["stage"] for found in work.stages_of(connection, ItemKey("t", "tg/1/1"))} == {"parse"}
    assert (row(records)["state"], row(records)["attempts"]) == ("pending", 0)
    assert row(records, 2)["state"] == "done"


def test_releasing_uses_no_attempt_and_rescheduling_does(records):
    receive_arrivals(records, arrival(1), arrival(2))
    claim(records, "a")
    with records.begin() as connection:
        work.reschedule(connection, "a", [(ItemKey("t", "tg/1/1"), "ProviderBusy", NOON + 30)], now=NOON)
        claims.release(connection, "a")
    assert (row(records, 1)["attempts"], row(records, 2)["attempts"]) == (1, 0)
    assert row(records)["error_class"] == "ProviderBusy"
    assert claim(records, "b", now=NOON + 29) == 1
    assert claim(records, "c", now=NOON + 30) == 1


def test_claims_of_dead_owners_are_released_and_others_are_not(records):
    receive_arrivals(records, arrival(1), arrival(2))
    command = "from chatai_assets.pipeline.worker_id import new_lease_token; print(new_lease_token())"
    dead = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True).stdout.strip()
    living = new_lease_token()
    claim(records, dead, 1)
    claim(records, living, 1)
    with records.begin() as connection:
        assert claims.reclaim_dead(connection, is_dead) == 1
    assert (numbers(records, dead), numbers(records, living)) == ([], [2])
    assert (row(records)["state"], row(records)["attempts"]) == ("pending", 0)


def test_only_processes_of_this_machine_are_known_to_be_dead():
    machine, _, started, token = new_lease_token().rsplit("/", 3)
    assert not is_dead(f"elsewhere/999999/1/{token}")
    assert is_dead(f"{machine}/{2**22 + 1}/1/{token}")
    assert is_dead(f"{machine}/{os.getpid()}/{int(started) - 1}/{token}")  # its number belongs to another one now


def test_a_stage_is_enqueued_once_and_requeued_only_where_it_was_tried(records):
    receive_arrivals(records, arrival(1), arrival(2))
    claim(records, "a", 1)
    with records.begin() as connection:
        work.enqueue(connection, "a", ["tag"], now=NOON)
        work.enqueue(connection, "a", ["tag"], now=NOON)
    claim(records, "b", stage="tag")
    with records.begin() as connection:
        work.requeue(connection, "tag", [ItemKey("t", "tg/1/1"), ItemKey("t", "tg/1/2")], now=NOON)
        assert claims.still_owned(connection, "b") == set()
    assert row(records, 1, "tag")["state"] == "pending"
    with records.reading() as connection:
        assert len(work.stages_of(connection, ItemKey("t", "tg/1/2"))) == 1


def test_an_owner_requeues_only_the_items_it_names(records):
    receive_arrivals(records, *map(arrival, (1, 2, 3)))
    claim(records, "a")
    with records.begin() as connection:
        work.enqueue(connection, "a", ["tag"], now=NOON)
    claim(records, "b", stage="tag")
    with records.begin() as connection:
        work.requeue(connection, "tag", [ItemKey("t", "tg/1/1"), ItemKey("t", "tg/1/3")], now=NOON, owner="a")
    assert [row(records, number, "tag")["state"] for number in (1, 2, 3)] == ["pending", "working", "pending"]
    assert numbers(records, "a") == [1, 2, 3]


def test_a_redo_resets_its_stage_and_later_ones_only(records):
    receive_arrivals(records, arrival())
    claim(records, "a")
    with records.begin() as connection:
        work.enqueue(connection, "a", ["tag", "enrich", "embed"], now=NOON)
        work.mark_done(connection, "a", fingerprint="x", now=NOON)
    claim(records, "b", stage="tag")
    with records.begin() as connection:
        work.enqueue(connection, "b", ["link"], now=NOON)
        work.mark_done(connection, "b", fingerprint="x", now=NOON)
        assert work.redo(connection, ItemKey("t", "tg/1/1"), "tag", now=NOON) == HOUR
        assert work.redo(connection, ItemKey("t", "tg/1/1"), "index", now=NOON) is None
    states = {stage: row(records, 1, stage)["state"] for stage in ("parse", "tag", "enrich", "embed")}
    assert states == {"parse": "done", "tag": "pending", "enrich": "pending", "embed": "pending"}
    with records.reading() as connection:
        assert len(work.stages_of(connection, ItemKey("t", "tg/1/1"))) == 4


def test_hours_with_due_and_with_unfinished_work(records):
    receive_arrivals(records, arrival(1), arrival(2))
    receive_arrivals(records, arrival(3), now=NOON + 3_600)
    claim(records, "a", 1)
    with records.begin() as connection:
        work.reschedule(connection, "a", [(ItemKey("t", "tg/1/1"), "ProviderBusy", NOON + 9_999)], now=NOON)
    with records.reading() as connection:
        (late, one), (early, other) = work.due_hours(connection, "posts", now=NOON)
        assert (early, one, other, late > early) == (HOUR, 1, 1, True)
        assert work.open_hours(connection, "posts") == {early: 2, late: 1}
        assert work.due_hours(connection, "documents", now=NOON) == []
        assert work.item_states(connection, "posts") == {"searchable": 0, "pending": 3, "failed": 0}


def letter(number=1, seq=1, stage="tag"):
    return {
        "tenant_id": "t",
        "queue_name": "posts",
        "job_name": stage,
        "job_id": f"tg/1/{number}@{seq}",
        "job_data": {"run_id": "run"},
        "source_key": f"tg/1/{number}",
        "error_class": "AnswerRejected",
        "error_message": "No.",
        "error_stack": None,
        "attempts": 1,
        "input_fingerprint": "0" * 64,
        "code_version": "0.1.0+0",
        "url": None,
    }


def letters(records, **filters):
    with records.reading() as connection:
        return dead_letters.list_dead_letters(connection, DeadLetterFilter(**filters))


def test_a_repeated_failure_updates_its_dead_letter(records):
    with records.begin() as connection:
        dead_letters.record(connection, [letter(), letter(2)], now=NOON)
        dead_letters.resolve_items(connection, "t", ["tg/1/1"], "done by hand")
        assert dead_letters.count_open(connection) == 1
        dead_letters.record(connection, [letter() | {"attempts": 2}], now=NOON + 5)
        assert dead_letters.open_classes(connection, "posts") == {"AnswerRejected": (2, NOON)}
    first = letters(records)[0]
    assert (first["source"], first["attempts"], first["last_failed_at"]) == ("tg/1/1", 2, NOON + 5)
    assert (first["resolution_note"], first["run_id"]) == (None, "run")


def test_a_newer_revision_resolves_the_dead_letters_of_older_ones(records):
    receive_arrivals(records, arrival(1), arrival(2))
    with records.begin() as connection:
        dead_letters.record(connection, [letter(1), letter(2)], now=NOON)
    receive_arrivals(records, arrival(1, "b", 20))
    assert [found["source"] for found in letters(records)] == ["tg/1/2"]
    closed = letters(records, resolved=None, item=ItemKey("t", "tg/1/1"))
    assert [found["resolution_note"] for found in closed] == ["a newer revision arrived"]


def test_a_redo_leaves_the_dead_letters_of_earlier_stages(records):
    with records.begin() as connection:
        dead_letters.record(connection, [letter(stage="parse"), letter(stage="link")], now=NOON)
        assert dead_letters.resolve_items(connection, "t", ["tg/1/1"], "redo", stages=["link"]) == 1
    assert [found["stage"] for found in letters(records)] == ["parse"]


def test_a_row_has_an_owner_only_while_it_is_claimed(records):
    receive_arrivals(records, *(arrival(number) for number in range(4)))
    claim(records, "a", 3)
    with records.begin() as connection:
        work.mark_failed(connection, "a", [(ItemKey("t", "tg/1/0"), "X")], now=NOON)
        work.mark_done(connection, "a", fingerprint="x", now=NOON)
        found = {
            (state, owner)
            for state, owner in connection.execute(rows.select().with_only_columns(rows.c.state, rows.c.owner))
        }
    assert found == {("failed", None), ("done", None), ("pending", None)}


def lose(records):
    """Release all claims as if their owners were dead."""
    with records.begin() as connection:
        claims.reclaim_dead(connection, lambda _owner: True)


def test_items_of_lost_claims_come_last_and_in_ever_smaller_batches(records):
    receive_arrivals(records, *(arrival(number) for number in range(20)))
    assert claim(records, "first", 16) == 16
    lose(records)
    assert claim(records, "others", 16) == 4
    assert claim(records, "group", 16) == 4
    lose(records)  # the group for the second time
    assert [claim(records, f"group {number}", 16) for number in range(4)] == [4, 4, 4, 4]
    assert [claim(records, f"alone {number}", 16) for number in range(5)] == [1, 1, 1, 1, 0]


def test_an_expired_lease_counts_as_a_loss_and_a_released_claim_does_not(records):
    receive_arrivals(records, arrival(1))
    claim(records, "a")
    with records.begin() as connection:
        claims.release(connection, "a")
    claim(records, "b")
    assert row(records)["losses"] == 0
    claim(records, "c", now=NOON + LEASE_S + 1)
    assert row(records)["losses"] == 1
    with records.begin() as connection:
        work.mark_done(connection, "c", fingerprint="x", now=NOON)
    assert row(records)["losses"] == 0


def test_an_expired_lease_of_a_running_process_is_no_loss(records):
    receive_arrivals(records, arrival(1), arrival(2))
    running, elsewhere = new_lease_token(), "another.1/77/1/abc"
    claim(records, running, 1)
    claim(records, elsewhere, 1)
    with records.begin() as connection:
        assert claims.reclaim_expired(connection, NOON + LEASE_S + 1, is_running) == 2
        assert claims.still_owned(connection, running) == claims.still_owned(connection, elsewhere) == set()
    assert (row(records, 1)["losses"], row(records, 2)["losses"]) == (0, 1)


def test_a_requeued_item_has_no_losses(records):
    receive_arrivals(records, arrival(1))
    claim(records, "a")
    lose(records)
    assert row(records)["losses"] == 1
    with records.begin() as connection:
        work.requeue(connection, "parse", [ItemKey("t", "tg/1/1")], now=NOON)
    assert row(records)["losses"] == 0
