"""Whether a run's process is alive, as told by itself: of a machine that is lost nobody else can say it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from chatai_assets.storage.engine import Records
from chatai_assets.storage.heartbeat import heartbeat
from chatai_assets.storage.key_values import delete_value, get_value, put_value

BEATS_PER_LEASE = 3


@contextmanager
def run_heartbeat(records: Records, run_id: str, lease_s: float) -> Iterator[None]:
    """Say again and again, until the block ends, that the run will have been heard of for another lease."""
    _renew(records, run_id, lease_s)
    with heartbeat(lambda: _renew(records, run_id, lease_s), lease_s / BEATS_PER_LEASE, "pulse of the run"):
        yield


def _renew(records: Records, run_id: str, lease_s: float) -> None:
    with records.begin() as connection:
        put_value(connection, _key(run_id), time.time() + lease_s)


def is_alive(records: Records, run_id: str) -> bool:
    """Return whether a run was heard of within its lease."""
    return alive_until(records, run_id) > time.time()


def alive_until(records: Records, run_id: str) -> float:
    """Return until when a run said last that it will have been heard of, in epoch seconds of its own clock."""
    with records.reading() as connection:
        return float(get_value(connection, _key(run_id)) or 0.0)


def end_heartbeat(records: Records, run_id: str) -> None:
    """Forget a run that is over."""
    with records.begin() as connection:
        delete_value(connection, _key(run_id))


def _key(run_id: str) -> str:
    return f"alive {run_id}"
