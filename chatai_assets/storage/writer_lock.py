"""Writer lock of a store that many machines write to, as the lock file is for an embedded store.

"Check the lease, record the intent, write" (``pipeline.projections.writes``) is right only if no other writer comes in
between. The lock is an advisory lock of PostgreSQL, held by a transaction of its own: waiters get it in the order of
asking, it ends with the process or its connection, and it works through poolers that hand out connections by
transaction. With SQLite, which only processes of one machine share, it is a lock on a file.

There is one lock per store, not per item: a batch has thousands of items, more than PostgreSQL's lock table may hold,
and nodes of the graph belong to many items. A writer holds it for about a second per thousand items; at full load that
is a few percent of the time.

A worker that is cut off from PostgreSQL loses the lock without notice. Therefore ``CheckLock`` is called right before
each write to Qdrant and before each commit in Neo4j. What remains is a request that was sent before the loss and
arrives after the next owner's: a window of milliseconds in which a connection must break. An audit finds what it
leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.locks import CheckLock, exclusive_lock
from chatai_assets.storage.engine import Records, translate_errors, wait_at_most
from chatai_assets.storage.sql import advisory_lock

LOCK_TIMEOUT_S = 120.0
LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def writer_lock(records: Records, store: str, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[CheckLock]:
    """Hold the writer lock of a store until the block ends.

    Args:
        store: its name, e.g. ``"vectors"``.

    Raises:
        StoreUnavailable: another writer does not release it in time, or the record store was lost meanwhile.
    """
    in_database = records.engine.dialect.name == "postgresql"
    with (_in_database if in_database else _in_file)(records, store, timeout_s) as check_lock:
        yield check_lock


@contextmanager
def _in_database(records: Records, store: str, timeout_s: float) -> Iterator[CheckLock]:
    with records.begin() as connection:
        wait_at_most(connection, timeout_s)
        try:
            advisory_lock(connection, f"turn {store}")
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
                raise
            raise _busy(store, timeout_s) from None
        yield lambda: _ask(connection)


@contextmanager
def _in_file(records: Records, store: str, timeout_s: float) -> Iterator[CheckLock]:
    with ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(Path(f"{records.engine.url.database}.{store}.lock"), timeout_s))
        except TimeoutError:
            raise _busy(store, timeout_s) from None
        yield lambda: None  # the kernel releases a file's lock only when the process ends


def _ask(connection: Connection) -> None:
    with translate_errors():
        connection.execute(text("SELECT 1"))


def _busy(store: str, timeout_s: float) -> StoreUnavailable:
    return StoreUnavailable(f"others have been writing to the {store} for too long: no turn within {timeout_s:g} s")
