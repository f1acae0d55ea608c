"""The commit of a batch: what becomes of done, retried, failed and lost items, in one transaction."""

import time
from dataclasses import replace

from chatai_assets.domain.ids import ItemKey
from chatai_assets.storage import dead_letters, leases, work_queue
from chatai_assets.storage.batch_commit import BatchOutcome, PermanentFailure, Retry, commit
from chatai_assets.storage.items import claimed_work
from chatai_assets.storage.schema import stage_stats
from chatai_assets_tests.support.arrivals import HOUR, NOON, arrival, receive_arrivals

FIRST, SECOND = ItemKey("t", "tg/1/1"), ItemKey("t", "tg/1/2")
OWNER = "a"


def claim(records):
    receive_arrivals(records, arrival(1), arrival(2))
    with records.begin() as connection:
        wanted = leases.Claim(OWNER, "posts", "parse", HOUR, 10, NOON, NOON + 60, "run")
        assert leases.claim(connection, wanted) == 2


def outcome(**changes):
    done = BatchOutcome(
        stream="posts",
        stage="parse",
        hour=HOUR,
        run_id="run",
        now=NOON,
        started=time.monotonic(),
        fingerprint="f",
        code_version="1+f",
        write=lambda _connection: None,
    )
    return replace(done, **changes)


def committed(records, **changes):
    with records.begin() as connection:
        return commit(connection, OWNER, outcome(**changes))


def states(records, key):
    with records.reading() as connection:
        return {row["stage"]: row["state"] for row in work_queue.stages_of(connection, key)}


def parsed(records, key):
    with records.reading() as connection:
        return next(row for row in work_queue.stages_of(connection, key) if row["stage"] == "parse")


def test_done_items_are_pending_at_the_next_stages_and_counted(records):
    claim(records)
    assert committed(records, enqueue=("tag", "embed"), unchanged=1) == 2
    assert states(records, FIRST) == {"parse": "done", "tag": "pending", "embed": "pending"}
    with records.reading() as connection:
        (stats,) = connection.execute(stage_stats.select()).mappings()
    assert (stats["done"], stats["unchanged"], stats["failed"], stats["retried"]) == (2, 1, 0, 0)
    assert stats["seconds"] >= 0


def test_results_are_written_when_retried_items_have_left_the_claim(records):
    claim(records)
    seen: list[str] = []

    def write(connection):
        seen.extend(row["source_key"] for row in claimed_work(connection, OWNER))

    retried = {FIRST: Retry("ProviderBusy", NOON + 30, counts_as_attempt=True)}
    assert committed(records, write=write, retried=retried, enqueue=("tag",)) == 1
    assert seen == [SECOND.source_key]
    assert states(records, FIRST) == {"parse": "pending"}
    assert parsed(records, FIRST)["next_attempt_at"] == NOON + 30


def test_only_an_item_that_was_tried_has_used_up_an_attempt(records):
    claim(records)
    retried = {
        FIRST: Retry("ProviderBusy", NOON + 30, counts_as_attempt=True),
        SECOND: Retry("NotAsked", NOON + 30, counts_as_attempt=False),
    }
    assert committed(records, retried=retried) == 0
    assert [parsed(records, key)["attempts"] for key in (FIRST, SECOND)] == [1, 0]


def test_a_permanent_failure_leaves_a_dead_letter_and_no_next_stage(records):
    claim(records)
    with records.begin() as connection:
        work = {ItemKey.of(row): row for row in claimed_work(connection, OWNER)}[FIRST]
        failure = PermanentFailure(work, "UnreadableDocument", "UnreadableDocument: empty", "It is empty.", "here")
        assert commit(connection, OWNER, outcome(failed={FIRST: failure}, enqueue=("tag",))) == 1
    assert states(records, FIRST) == {"parse": "failed"}
    assert states(records, SECOND) == {"parse": "done", "tag": "pending"}
    with records.reading() as connection:
        (letter,) = dead_letters.list_dead_letters(connection)
    assert (letter["source"], letter["stage"], letter["attempts"]) == (FIRST.source_key, "parse", 1)
    assert (letter["error_class"], letter["error_message"]) == ("UnreadableDocument: empty", "It is empty.")
    assert (letter["run_id"], letter["hour"], letter["code_version"]) == ("run", HOUR, "1+f")


def test_what_was_taken_away_is_not_committed(records):
    claim(records)
    with records.begin() as connection:
        work_queue.requeue(connection, "parse", [FIRST], now=NOON)
    assert committed(records, enqueue=("tag",)) == 1
    assert states(records, FIRST) == {"parse": "pending"}


def test_a_stage_that_was_done_is_pending_again_where_a_batch_asks_for_it(records):
    claim(records)
    assert committed(records, enqueue=("link",)) == 2
    with records.begin() as connection:
        wanted = leases.Claim("b", "posts", "link", HOUR, 10, NOON, NOON + 60, "run")
        assert leases.claim(connection, wanted) == 2
        assert commit(connection, "b", outcome(stage="link", enqueue=("tag",))) == 2
        wanted = leases.Claim("c", "posts", "tag", HOUR, 10, NOON, NOON + 60, "run")
        assert leases.claim(connection, wanted) == 2
        assert commit(connection, "c", outcome(stage="tag", requeue={"link": [FIRST]})) == 2
    assert states(records, FIRST)["link"] == "pending"
    assert states(records, SECOND)["link"] == "done"
