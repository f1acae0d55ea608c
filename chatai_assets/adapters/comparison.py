"""What should be in a store against what is: two sets larger than memory, compared in a file that goes afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

Kind = Literal["missing", "extra", "changed"]

_TABLES = """
    CREATE TABLE expected (part TEXT, tenant TEXT, source TEXT, content TEXT);
    CREATE TABLE found (part TEXT, tenant TEXT, source TEXT, content TEXT, start TEXT, "end" TEXT);
"""
_INDEXES = """
    CREATE INDEX expected_part ON expected (part, content);
    CREATE INDEX found_part ON found (part, content);
"""
# Of what several items share each has its word; it is as one of them has it. Content that nobody knows fits all.
_DIFFERENCES = """
    SELECT 'missing', part, min(tenant), min(source), min(content), '', '', '' FROM expected AS e
    WHERE NOT EXISTS (SELECT 1 FROM found AS f WHERE f.part = e.part) GROUP BY part HAVING count(content) = count(*)
    UNION ALL
    SELECT 'extra', part, tenant, source, '', content, start, "end" FROM found AS f
    WHERE NOT EXISTS (SELECT 1 FROM expected AS e WHERE e.part = f.part)
    UNION ALL
    SELECT 'changed', f.part, min(e.tenant), min(e.source), min(e.content), f.content, f.start, f."end"
    FROM found AS f JOIN expected AS e ON e.part = f.part
    GROUP BY f.part, f.content HAVING sum(e.content IS NULL OR e.content = f.content) = 0
    ORDER BY 1, 2
"""


class Expected(NamedTuple):
    """Something that an item should have in a store.

    Attributes:
        part: its name in the store.
        content: a fingerprint; None where it is being written just now.
    """

    part: str
    tenant_id: str
    source_key: str
    content: str | None


class Found(NamedTuple):
    """Something that a store has, and whose it says it is.

    Attributes:
        start: of an edge, the node that it leaves, named as parts are; else empty.
        end: likewise, the node that it enters.
    """

    part: str
    tenant_id: str
    source_key: str
    content: str
    start: str = ""
    end: str = ""


class Difference(NamedTuple):
    """Where a store is not as it should be; of ``missing`` nothing was found, of ``extra`` nothing is expected."""

    kind: Kind
    part: str
    tenant_id: str
    source_key: str
    expected: str
    found: str
    start: str
    end: str


class Comparison:
    """Two sets in a file; made by ``comparison``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(_TABLES)
        connection.execute("BEGIN")

    def expect(self, rows: Iterable[Expected]) -> int:
        """Take what should be there; return how much that is."""
        return self._connection.executemany("INSERT INTO expected VALUES (?, ?, ?, ?)", rows).rowcount

    def find(self, rows: Iterable[Found]) -> int:
        """Take what is there; return how much that is."""
        return self._connection.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?, ?)", rows).rowcount

    def differences(self) -> Iterator[Difference]:
        """Yield the differences in the order of kind and part; call it once, when all is taken."""
        self._connection.execute("COMMIT")
        self._connection.executescript(_INDEXES)
        for row in self._connection.execute(_DIFFERENCES):
            yield Difference(*row)


@contextmanager
def comparison() -> Iterator[Comparison]:
    """Open a comparison, empty and with a file of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="chatai-audit-")))
        connection = sqlite3.connect(folder / "comparison.sqlite", isolation_level=None)
        stack.enter_context(closing(connection))
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-64000;")
        yield Comparison(connection)
