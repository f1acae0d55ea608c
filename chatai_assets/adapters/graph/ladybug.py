"""The graph embedded in this process, in one file.

Nobody may open the file while somebody writes it, so each use takes its turn (``turns``), opens, works and closes.
A process killed while writing leaves a log that the next one to open the file for writing replays: a change is there
as a whole or not at all.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from operator import attrgetter
from pathlib import Path

import ladybug

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.ladybug_session import each_row, failing_as_outage, opened, rows
from chatai_assets.adapters.graph.ladybug_writer import LadybugWriter
from chatai_assets.adapters.graph.port import GraphCounts
from chatai_assets.adapters.graph.turns import Turns
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.graph import Edge, Node

TURN_TIMEOUT_S = 60.0
SHORT_LOG_BYTES = 1 << 20
LOG_SHARE = 32
"""Measured: replaying a byte of log costs some 12 times as much as rewriting a byte of the file (50 and 4 ms a MB)."""


class LadybugGraph:
    """The graph in a folder of its own; implements ``port.GraphStore``.

    Args:
        path: the folder; made with the first use.
        turn_timeout_s: how long to wait for others to let go of the graph.
    """

    def __init__(self, path: Path, turn_timeout_s: float = TURN_TIMEOUT_S) -> None:
        self._file = path / "graph.lbug"
        self._turns = Turns(path, turn_timeout_s)

    @contextmanager
    def writing(self) -> Iterator[LadybugWriter]:
        """Hold the graph for writing; for some 3,000 items at most, so that others do not wait for long.

        Raises:
            StoreUnavailable: others hold it for too long, or it cannot be opened or written.
        """
        with self._turns.writing():
            self._make()
            with opened(self._file) as connection:
                yield LadybugWriter(connection, self._file.parent)
                self._spare_checkpoint(connection)

    def count(self) -> GraphCounts:
        """Return the number of nodes and relationships; zeros before the first write."""
        with self._reading() as connection:
            if connection is None:
                return GraphCounts(0, 0)
            with failing_as_outage("read"):
                nodes, edges = (rows(connection, query)[0][0] for query in (cypher.NODE_COUNT, cypher.EDGE_COUNT))
            return GraphCounts(nodes, edges)

    def nodes(self) -> Iterator[Node]:
        """Yield every node, in the order of label and id; writers wait until the iterator is done with."""
        with self._reading() as connection:
            if connection is None:
                return
            for label in sorted(cypher.NODES):
                names = tuple(cypher.NODES[label])
                for node_id, *values in each_row(connection, cypher.all_nodes(label)):
                    yield Node(label, node_id, dict(zip(names, values, strict=True)))

    def edges(self) -> Iterator[Edge]:
        """Yield every edge, in the order of type and id; writers wait until the iterator is done with."""
        with self._reading() as connection:
            if connection is None:
                return
            for type_ in sorted(cypher.EDGES):
                joined = (_edges(connection, type_, start, end) for start, end in cypher.ENDS[type_])
                yield from heapq.merge(*joined, key=attrgetter("id"))

    def _spare_checkpoint(self, connection: ladybug.Connection) -> None:
        """Let a short log stand: the next use replays it, while a checkpoint rewrites all edges."""
        log = self._file.with_name(f"{self._file.name}.wal")
        written = log.stat().st_size if log.exists() else 0
        if written < max(SHORT_LOG_BYTES, self._file.stat().st_size // LOG_SHARE):
            with failing_as_outage("written"):
                rows(connection, "CALL force_checkpoint_on_close=false")

    @contextmanager
    def _reading(self) -> Iterator[ladybug.Connection | None]:
        """Give a connection, or None before the first write."""
        with ExitStack() as turn:
            yield (self._beside_others(turn) or self._alone(turn)) if self._file.exists() else None

    def _beside_others(self, turn: ExitStack) -> ladybug.Connection | None:
        """Return a connection that only reads, or None where a killed writer left work that must be finished first."""
        with ExitStack() as attempt:
            attempt.enter_context(self._turns.reading())
            with suppress(StoreUnavailable):
                connection = attempt.enter_context(opened(self._file, read_only=True))
                turn.push(attempt.pop_all())
                return connection
        return None

    def _alone(self, turn: ExitStack) -> ladybug.Connection:
        turn.enter_context(self._turns.writing())
        return turn.enter_context(opened(self._file))

    def _make(self) -> None:
        """Make the file with its schema; it gets its name when it is complete, so that what exists can be read."""
        if self._file.exists():
            return
        draft = self._file.with_suffix(".draft")
        for leftover in self._file.parent.glob(f"{draft.name}*"):
            leftover.unlink()
        with opened(draft) as connection, failing_as_outage("made"):
            for statement in cypher.ladybug_schema():
                rows(connection, statement)
        draft.replace(self._file)


def _edges(connection: ladybug.Connection, type_: str, start: str, end: str) -> Iterator[Edge]:
    names = tuple(cypher.EDGES[type_])
    for start_id, end_id, edge_id, source, *values in each_row(connection, cypher.all_edges(type_, start, end)):
        properties = dict(zip(names, values, strict=True))
        yield Edge(type_, edge_id, (start, start_id), (end, end_id), source, properties)
