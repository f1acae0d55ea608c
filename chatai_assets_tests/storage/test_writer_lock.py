import threading
import time

import pytest
from sqlalchemy import text

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.storage.engine import open_records
from chatai_assets.storage.writer_lock import writer_lock


def test_one_writer_holds_the_lock_and_the_next_waits(records):
    order = []

    def write(name, first):
        with writer_lock(records, "vectors"):
            order.append(f"{name} in")
            first.set()
            time.sleep(0.1)
            order.append(f"{name} out")

    events = [threading.Event() for _ in range(3)]
    threads = [threading.Thread(target=write, args=(n, events[n])) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [step.split()[1] for step in order] == ["in", "out"] * 3
    assert [step.split()[0] for step in order[::2]] == [step.split()[0] for step in order[1::2]]


def test_a_lock_timeout_is_an_error_and_other_stores_are_free(records):
    with writer_lock(records, "vectors"):
        too_late = pytest.raises(StoreUnavailable, match=r"vectors for too long: no turn within 0\.1 s")
        with too_late, writer_lock(records, "vectors", timeout_s=0.1):
            pass
        with writer_lock(records, "graph", timeout_s=0.1) as check_lock:
            check_lock()
    with writer_lock(records, "vectors", timeout_s=0.1):
        pass


def test_an_error_of_the_writer_releases_the_lock(records):
    def write_and_fail():
        with writer_lock(records, "vectors"):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        write_and_fail()
    with writer_lock(records, "vectors", timeout_s=0.1):
        pass


def test_the_writer_lock_does_not_block_the_record_store(records):
    with writer_lock(records, "vectors"), records.begin() as connection:
        connection.execute(text("INSERT INTO checkpoints (name, value) VALUES ('x', '1')"))


def test_a_writer_that_is_cut_off_notices_before_writing_and_the_next_gets_the_lock(database_url):
    records, others = open_records(database_url), open_records(database_url)
    locks = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"

    def write_after_a_loss():
        with writer_lock(records, "vectors") as check_lock:
            check_lock()
            with others.begin() as connection:
                assert connection.execute(text(locks)).scalars().all() == [True]
            with writer_lock(others, "vectors", timeout_s=5):
                pass
            check_lock()

    with pytest.raises(StoreUnavailable, match="record store cannot be used"):
        write_after_a_loss()
    with writer_lock(records, "vectors", timeout_s=5):
        pass
    records.close()
    others.close()
