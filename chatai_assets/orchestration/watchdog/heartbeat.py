"""Heartbeat of a run: its process renews a lease, so that other machines can see whether it is alive."""

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
    """Renew the lease of a run regularly until the block ends."""
    _renew(records, run_id, lease_s)
    with heartbeat(lambda: _renew(records, run_id, lease_s), lease_s / BEATS_PER_LEASE, "run heartbeat"):
        yield


def _renew(records: Records, run_id: str, lease_s: float) -> None:
    with records.begin() as connection:
        put_value(connection, _key(run_id), time.time() + lease_s)


def is_alive(records: Records, run_id: str) -> bool:
    """Return whether a run has renewed its lease in time."""
    return alive_until(records, run_id) > time.time()


def alive_until(records: Records, run_id: str) -> float:
    """Return when the lease of a run ends, in epoch seconds of the run's own clock."""
    with records.reading() as connection:
        return float(get_value(connection, _key(run_id)) or 0.0)


def end_heartbeat(records: Records, run_id: str) -> None:
    """Delete the lease of a run that is over."""
    with records.begin() as connection:
        delete_value(connection, _key(run_id))


def _key(run_id: str) -> str:
    return f"alive {run_id}"
