"""Compares the expected with the found parts of a store: two sets larger than memory, in temporary files.

The first comparison uses only hashes (``digests``) and returns which parts differ. The second one, of these parts, also
stores their texts and returns how they differ.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import compress, islice
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Literal, NamedTuple, TypeVar

from chatai_assets.operations.audit.digests import Digests, Numbers, differing, digests, is_member, same_rows

BATCH_ROWS = 1_000
"""Rows that are processed together."""

DifferenceKind = Literal["missing", "extra", "changed"]

_TABLES = """
    CREATE TABLE expected (part TEXT, tenant TEXT, source TEXT, content TEXT);
    CREATE TABLE found (part TEXT, tenant TEXT, source TEXT, content TEXT, start TEXT, "end" TEXT);
"""
_INDEXES = """
    CREATE INDEX expected_part ON expected (part, content);
    CREATE INDEX found_part ON found (part, content);
"""
# A part shared by several items may have the content that any of them expects. Unknown content (NULL) matches all.
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
    """A part of an item that a store should have.

    Attributes:
        part: its name in the store.
        content: a fingerprint; None while it is being written.
    """

    part: str
    tenant_id: str
    source_key: str
    content: str | None


class FoundPart(NamedTuple):
    """A part that a store has, with its tenant and source.

    Attributes:
        start: for an edge, the part name of the node where it starts; else empty.
        end: for an edge, the part name of the node where it ends; else empty.
    """

    part: str
    tenant_id: str
    source_key: str
    content: str
    start: str = ""
    end: str = ""


class Difference(NamedTuple):
    """A difference: a ``missing`` part was not found, an ``extra`` one is not expected."""

    kind: DifferenceKind
    part: str
    tenant_id: str
    source_key: str
    expected: str
    found: str
    start: str
    end: str


T = TypeVar("T")
Row = TypeVar("Row", Expected, FoundPart)


class Texts:
    """The rows of suspected parts in a database file; created by ``comparison``.

    Args:
        suspected: result of the first comparison.
    """

    def __init__(self, connection: sqlite3.Connection, suspected: Numbers) -> None:
        self._connection = connection
        self.suspected = suspected
        connection.executescript(_TABLES)
        connection.execute("BEGIN")

    def expect(self, rows: Iterable[Expected]) -> None:
        """Add expected parts."""
        self._connection.executemany("INSERT INTO expected VALUES (?, ?, ?, ?)", rows)

    def find(self, rows: Iterable[FoundPart]) -> None:
        """Add found parts."""
        self._connection.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?, ?)", rows)

    def differences(self) -> Iterator[Difference]:
        """Yield the differences in the order of kind and part; call it once, after all parts were added."""
        self._connection.execute("COMMIT")
        self._connection.executescript(_INDEXES)
        yield from map(Difference._make, self._connection.execute(_DIFFERENCES))


class Comparison:
    """Two sets of parts in files; created by ``comparison``."""

    def __init__(self, expected: Digests, found: Digests, texts: Texts | None) -> None:
        self._expected = expected
        self._found = found
        self._texts = texts

    def expect(self, rows: Iterable[Expected]) -> None:
        """Add expected parts."""
        self._take(self._expected, rows, self._texts.expect if self._texts else None)

    def expected(self) -> int:
        """Return how many of the compared parts are expected; a part shared by several items counts once."""
        return self._expected.parts()

    def find(self, rows: Iterable[FoundPart]) -> int:
        """Add found parts; return how many."""
        return self._take(self._found, rows, self._texts.find if self._texts else None)

    def differing(self) -> Numbers:
        """Return the parts that differ, and how (``digests.differing``); call it after all parts were added."""
        return differing(self._expected, self._found)

    def differences(self) -> Iterator[list[Difference]]:
        """Yield, in batches by kind and part, what differs in the same way as in the first comparison; call it once.

        Raises:
            TypeError: this is a first comparison.
        """
        if self._texts is None:
            raise TypeError("a first comparison has no texts")
        confirmed = same_rows(self.differing(), self._texts.suspected)
        for page in _batches(self._texts.differences()):
            if same := [*compress(page, is_member(digests(row.part for row in page), confirmed[:, 0]))]:
                yield same

    def _take(self, side: Digests, rows: Iterable[Row], keep: Callable[[Iterable[Row]], None] | None) -> int:
        count = 0
        for page in _batches(rows):
            count += len(page)
            parts, contents = digests(row.part for row in page), digests(row.content for row in page)
            if self._texts and keep:
                mine = is_member(parts, self._texts.suspected[:, 0])
                keep(compress(page, mine))
                parts, contents = parts[mine], contents[mine]
            side.add(parts, contents)
        return count


def _batches(rows: Iterable[T]) -> Iterator[list[T]]:
    each = iter(rows)
    while page := list(islice(each, BATCH_ROWS)):
        yield page


@contextmanager
def comparison(suspected: Numbers | None = None) -> Iterator[Comparison]:
    """Open an empty comparison with its own temporary files.

    Args:
        suspected: the parts that differed in a first comparison; only these are compared.
    """
    with ExitStack() as stack:
        expected, found = (Digests(stack.enter_context(TemporaryFile(prefix="chatai-audit-"))) for _ in range(2))
        texts = None if suspected is None else Texts(stack.enter_context(_temporary_database()), suspected)
        yield Comparison(expected, found, texts)


@contextmanager
def _temporary_database() -> Iterator[sqlite3.Connection]:
    with TemporaryDirectory(prefix="chatai-audit-") as folder:
        connection = sqlite3.connect(Path(folder) / "comparison.sqlite", isolation_level=None)
        with closing(connection):
            connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;")
            yield connection
