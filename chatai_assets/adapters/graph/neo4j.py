"""The graph in a Neo4j server, version 5.7 or later (Community has all that is needed).

The driver retries a transaction that failed transiently (a lost leader, a deadlock) for half a minute; a failure after
that is an outage. The read timeout within an answer is announced by the server on connect: twice its
``server.bolt.connection_keep_alive``, two minutes by default. The driver has no setting for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from neo4j import Driver, GraphDatabase, ManagedTransaction, NotificationMinimumSeverity, Query, unit_of_work
from neo4j.exceptions import AuthError, ConfigurationError, DriverError, Neo4jError

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.base import GraphCounts
from chatai_assets.adapters.graph.statements import GraphRow, group_by, write_change
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.graph.changes import EdgeRef, GraphChange
from chatai_assets.domain.graph.subgraph import Edge, Node
from chatai_assets.files.locks import CheckLock, WriterLock

CONNECT_S = 5.0
ACQUIRE_S = 15.0
"""For a connection of the pool, handshake included."""
IDLE_S = 30.0
"""A connection that was idle for longer is checked before use."""
RETRY_S = 30.0
READ_S = 60.0
WRITE_S = 120.0
"""The server ends a transaction that takes longer."""
ROWS = 5_000
"""Rows of one statement."""
MAX_PARTS = 50_000
"""Nodes and edges of one transaction: the server keeps all of it in memory meanwhile."""
PAGE = 5_000
"""Nodes or edges per request when all are read."""


class Neo4jGraph:
    """The graph behind a URI; implements ``base.GraphStore``. Safe to share between threads.

    Args:
        uri: e.g. ``neo4j://host:7687``.
        auth: user and password.
        turns: the writer lock, shared by all machines.
        retry_s: seconds to retry a transaction after transient failures.
        acquire_s: seconds one attempt may wait for a connection.
    """

    def __init__(
        self,
        uri: str,
        auth: tuple[str, str],
        turns: WriterLock,
        retry_s: float = RETRY_S,
        acquire_s: float = ACQUIRE_S,
    ) -> None:
        self._uri = uri
        self._auth = auth
        self._writer_lock = turns
        self._retry_s = retry_s
        self._acquire_s = acquire_s
        self._has_schema = False

    def close(self) -> None:
        """Close all connections."""
        self._driver.close()

    @contextmanager
    def writing(self) -> Iterator[Neo4jWriter]:
        """Hold the writer lock; readers do not wait.

        Raises:
            StoreUnavailable: the lock is held for too long, or the graph cannot be reached.
        """
        with self._writer_lock() as check_lock:
            self._make_schema()
            mark = next((row[0] for row in self._read(cypher.READ_GENERATION)), None)
            if mark is None:  # the database may have been replaced since the schema was created
                self._has_schema = False
                self._make_schema()
            yield Neo4jWriter(self._driver, check_lock, mark)

    def generation(self) -> str | None:
        """Return the generation of the last write session; without retries, so that an outage is noticed at once."""
        with translate_errors("read"), self._driver.session() as session:
            answer = session.run(Query(cypher.READ_GENERATION, timeout=READ_S)).single()
        return answer.value() if answer else None

    def count(self) -> GraphCounts:
        """Return the number of nodes and relationships."""
        nodes = sum(self._read(cypher.count_nodes(label))[0][0] for label in cypher.NODES)
        return GraphCounts(nodes, self._read(cypher.EDGE_COUNT)[0][0])

    def compact(self) -> bool:
        """Return False: the files of a server are rewritten only by its own tools, while it is stopped."""
        return False

    def nodes(self) -> Iterator[Node]:
        """Yield every node, in the order of label and id; concurrent writes may or may not be included."""
        for label in sorted(cypher.NODES):
            names = tuple(cypher.NODES[label])
            for node_id, *values in self._pages(cypher.nodes_after(label), id_at=0):
                yield Node(label, node_id, dict(zip(names, values, strict=True)))

    def edges(self) -> Iterator[Edge]:
        """Yield every edge, in the order of type and id; concurrent writes may or may not be included."""
        for type_ in sorted(cypher.EDGES):
            names = tuple(cypher.EDGES[type_])
            for start, end, start_id, end_id, edge_id, source, *values in self._pages(
                cypher.edges_after(type_), id_at=4
            ):
                properties = dict(zip(names, values, strict=True))
                yield Edge(type_, edge_id, (start, start_id), (end, end_id), source, properties)

    @cached_property
    def _driver(self) -> Driver:
        with translate_errors("opened"):
            return GraphDatabase.driver(
                self._uri,
                auth=self._auth,
                connection_timeout=CONNECT_S,
                connection_acquisition_timeout=self._acquire_s,
                liveness_check_timeout=IDLE_S,
                max_transaction_retry_time=self._retry_s,
                notifications_min_severity=NotificationMinimumSeverity.OFF,  # about labels without nodes
            )

    def _make_schema(self) -> None:
        if self._has_schema:
            return
        with translate_errors("prepared"):
            for statement in cypher.neo4j_schema():
                self._driver.execute_query(Query(statement, timeout=WRITE_S))
        self._has_schema = True

    def _pages(self, statement: str, *, id_at: int) -> Iterator[list[Any]]:
        """Yield the rows of a paged statement, which returns the page after ``$after``."""
        after = ""
        while page := self._read(statement, {"after": after, "limit": PAGE}):
            yield from page
            after = page[-1][id_at]

    def _read(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[list[Any]]:
        @unit_of_work(timeout=READ_S)
        def work(transaction: ManagedTransaction) -> list[list[Any]]:
            return transaction.run(statement, dict(parameters or {})).values()

        with translate_errors("read"), self._driver.session() as session:
            return session.execute_read(work)


class Neo4jWriter:
    """Implements ``base.GraphWriter``; made by ``Neo4jGraph.writing``."""

    max_parts = MAX_PARTS

    def __init__(self, driver: Driver, check_lock: CheckLock, mark: str | None) -> None:
        self._driver = driver
        self._check_lock = check_lock
        self.generation = mark

    def apply(self, change: GraphChange) -> None:
        """Apply a change in one transaction; applying it twice changes nothing.

        Raises:
            StoreUnavailable: nothing of the change was written, or the connection broke while it was committed.
        """
        if change.empty:
            return

        self._commit(lambda transaction: write_change(_Transaction(transaction), change))

    def write_generation(self, generation: str) -> None:
        """Write the generation; raises ``StoreUnavailable`` as ``apply`` does."""
        self._commit(lambda transaction: transaction.run(cypher.WRITE_GENERATION, {"mark": generation}).consume())

    def _commit(self, write: Callable[[ManagedTransaction], object]) -> None:
        @unit_of_work(timeout=WRITE_S)
        def work(transaction: ManagedTransaction) -> None:
            write(transaction)
            self._check_lock()  # a commit follows

        with translate_errors("written"), self._driver.session() as session:
            session.execute_write(work)


class _Transaction:
    """Implements ``statements.GraphTransaction``."""

    def __init__(self, transaction: ManagedTransaction) -> None:
        self._transaction = transaction

    def ask(self, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        return self._transaction.run(statement, dict(parameters)).values()

    def load(self, rows: Sequence[GraphRow], columns: Mapping[str, str], body: Callable[[str], str]) -> None:
        for start in range(0, len(rows), ROWS):
            part = [dict(zip(columns, row, strict=True)) for row in rows[start : start + ROWS]]
            self.ask(f"UNWIND $rows AS row {body('row.')}", {"rows": part})

    def delete_edges(self, edges: Sequence[EdgeRef]) -> None:
        for type_, group in group_by(edges, lambda edge: edge.type).items():
            self.ask(cypher.delete_edges_by_id(type_), {"ids": [edge.id for edge in group]})


@contextmanager
def translate_errors(done: str) -> Iterator[None]:
    """Raise the driver's errors as ``StoreUnavailable`` with code or class only; the rest may quote a row."""
    try:
        yield
    except AuthError as error:
        raise StoreUnavailable("the graph refuses its user: check NEO4J_USER and NEO4J_PASSWORD") from error
    except (DriverError, Neo4jError, ConfigurationError) as error:
        reason = (error.code if isinstance(error, Neo4jError) else None) or type(error).__name__
        raise StoreUnavailable(f"the graph cannot be {done}: {reason}") from None
