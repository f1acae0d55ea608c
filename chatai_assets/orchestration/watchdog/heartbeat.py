"""Whether a run's process is alive, as told by itself: of a machine that is lost nobody else can say it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from chatai_assets.storage.engine import Records
from chatai_assets.storage.heartbeat import beating
from chatai_assets.storage.key_values import forget_checkpoint, read_checkpoint, write_checkpoint

BEATS_A_LEASE = 3


@contextmanager
def pulse(records: Records, run_id: str, lease_s: float) -> Iterator[None]:
    """Say again and again, until the block ends, that the run will have been heard of for another lease."""
    _beat(records, run_id, lease_s)
    with beating(lambda: _beat(records, run_id, lease_s), lease_s / BEATS_A_LEASE, "pulse of the run"):
        yield


def _beat(records: Records, run_id: str, lease_s: float) -> None:
    with records.begin() as connection:
        write_checkpoint(connection, _name(run_id), time.time() + lease_s)


def has_pulse(records: Records, run_id: str) -> bool:
    """Return whether a run was heard of within its lease."""
    return heard_until(records, run_id) > time.time()


def heard_until(records: Records, run_id: str) -> float:
    """Return until when a run said last that it will have been heard of, in epoch seconds of its own clock."""
    with records.reading() as connection:
        return float(read_checkpoint(connection, _name(run_id)) or 0.0)


def end_pulse(records: Records, run_id: str) -> None:
    """Forget a run that is over."""
    with records.begin() as connection:
        forget_checkpoint(connection, _name(run_id))


def _name(run_id: str) -> str:
    return f"alive {run_id}"
