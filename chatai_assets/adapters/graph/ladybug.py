"""The graph embedded in this process, in one file.

No process may open the file while another writes it, so each use takes the lock (``files.locks``), opens and closes.
A process killed while writing leaves a log that the next one to open the file for writing replays: a change is there
as a whole or not at all. Killed in mid-commit it leaves a log that breaks off. Such a log is cut after its last whole
transaction; should that cost something confirmed, the mark is missing, too. What cannot be opened even so is set aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from shutil import rmtree

import ladybug

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.base import GraphCounts
from chatai_assets.adapters.graph.ladybug_copy import copy_graph
from chatai_assets.adapters.graph.ladybug_generation import GRAPH, generation_of_graph
from chatai_assets.adapters.graph.ladybug_reader import iter_edges, iter_nodes
from chatai_assets.adapters.graph.ladybug_session import open_database, query, translate_errors
from chatai_assets.adapters.graph.ladybug_writer import LadybugWriter, generation_in
from chatai_assets.domain.errors import StoreDamaged, StoreUnavailable
from chatai_assets.domain.graph.subgraph import Edge, Node
from chatai_assets.files.generation import NAME as MARK
from chatai_assets.files.generation import read_generation, write_generation
from chatai_assets.files.locks import GraphLock
from chatai_assets.files.quarantine import quarantine_files
from chatai_assets.observability import LOG_CUT, log

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
        self._folder = path
        self._file = path / GRAPH
        self._turns = GraphLock(path, turn_timeout_s)

    @contextmanager
    def writing(self) -> Iterator[LadybugWriter]:
        """Hold the graph for writing; for some 3,000 items at most, so that others do not wait for long.

        Raises:
            StoreUnavailable: others hold it for too long, or it cannot be opened or written.
        """
        with self._turns.writing():
            with ExitStack() as turn:
                connection = self._opened(turn) or self._begun(turn)
                _complete_schema(connection)
                writer = LadybugWriter(connection, self._folder)
                self._tell(writer.generation)  # a killed writer may have signed and not come to this
                yield writer
                self._spare_checkpoint(connection)
            self._tell(writer.generation)

    def generation(self) -> str | None:
        """Return what the last turn of writing left, without opening the graph; None where there is none."""
        return generation_of_graph(self._folder)

    def count(self) -> GraphCounts:
        """Return the number of nodes and relationships; zeros before the first write."""
        with self._reading() as connection:
            if connection is None:
                return GraphCounts(0, 0)
            with translate_errors("read"):
                nodes = sum(query(connection, cypher.count_nodes(label))[0][0] for label in cypher.NODES)
                return GraphCounts(nodes, query(connection, cypher.EDGE_COUNT)[0][0])

    def compact(self) -> bool:
        """Write the file anew, without any trace of what was deleted, and remove those that were set aside."""
        with self._turns.writing():
            with ExitStack() as turn:
                connection = self._opened(turn)
                if connection:
                    _complete_schema(connection)
            copied = self._copied() if connection else None
            with translate_errors("written"):
                if copied:
                    for beside in self._folder.glob(f"{GRAPH}.*"):  # whatever stood in it is in the file now
                        beside.unlink()
                    copied.replace(self._file)
                for lost in self._folder.glob("lost-*"):
                    rmtree(lost)
        return True

    def nodes(self) -> Iterator[Node]:
        """Yield every node, label after label; what is written meanwhile may or may not be among them.

        Writers wait until a portion is done with (``ladybug_walk``).
        """
        for label, properties in cypher.NODES.items():
            for node_id, *values in iter_nodes(self._reading, label):
                yield Node(label, node_id, dict(zip(properties, values, strict=True)))

    def edges(self) -> Iterator[Edge]:
        """Yield every edge, type after type, as ``nodes`` does."""
        for type_, properties in cypher.EDGES.items():
            for start, end in cypher.ENDPOINTS[type_]:
                for start_id, end_id, edge_id, source, *values in iter_edges(self._reading, type_, start, end):
                    named = dict(zip(properties, values, strict=True))
                    yield Edge(type_, edge_id, (start, start_id), (end, end_id), source, named)

    def _tell(self, mark: str | None) -> None:
        """Let the mark in the folder be that of the graph."""
        if read_generation(self._folder) != mark:
            write_generation(self._folder, mark)

    def _spare_checkpoint(self, connection: ladybug.Connection) -> None:
        """Let a short log stand: the next use replays it, while a checkpoint rewrites all edges."""
        file = self._file.with_name(f"{self._file.name}.wal")
        written = file.stat().st_size if file.exists() else 0
        if written < max(SHORT_LOG_BYTES, self._file.stat().st_size // LOG_SHARE):
            with translate_errors("written"):
                query(connection, "CALL force_checkpoint_on_close=false")

    @contextmanager
    def _reading(self) -> Iterator[ladybug.Connection | None]:
        """Give a connection, or None before the first write."""
        with ExitStack() as turn:
            yield (self._beside_others(turn) or self._alone(turn)) if self._file.exists() else None

    def _beside_others(self, turn: ExitStack) -> ladybug.Connection | None:
        """Return a connection that only reads, or None where something must be written first.

        A killed writer left work to be finished, or the tables are those of an earlier version.
        """
        with ExitStack() as attempt:
            attempt.enter_context(self._turns.reading())
            with suppress(StoreUnavailable):
                connection = attempt.enter_context(open_database(self._file, read_only=True))
                with translate_errors("read"):
                    query(connection, cypher.IS_CURRENT)
                turn.push(attempt.pop_all())
                return connection
        return None

    def _alone(self, turn: ExitStack) -> ladybug.Connection | None:
        turn.enter_context(self._turns.writing())
        connection = self._opened(turn)
        if connection:
            _complete_schema(connection)
        return connection

    def _opened(self, turn: ExitStack) -> ladybug.Connection | None:
        """Open the file, held alone; None where there is none, or where it was damaged and is set aside now."""
        if not self._file.exists():
            return None
        with suppress(StoreDamaged):
            return turn.enter_context(open_database(self._file))
        try:
            connection = turn.enter_context(open_database(self._file, cut_log=True))
        except StoreDamaged as error:
            quarantine_files(
                self._folder, [*self._folder.glob(f"{GRAPH}*"), *self._folder.glob(MARK)], "graph", str(error)
            )
            return None
        self._tell(generation_in(connection))
        log.warning(LOG_CUT, store="graph", advice="Nothing to do: a killed writer's last change is written again.")
        return connection

    def _begun(self, turn: ExitStack) -> ladybug.Connection:
        """Make the file with its schema; it gets its name when it is complete, so that what exists can be read."""
        with self._drafted():
            pass
        with translate_errors("made"):
            self._draft.replace(self._file)
        return turn.enter_context(open_database(self._file))

    def _copied(self) -> Path:
        """Return a file beside ours that holds the same, while nobody else may open ours."""
        with self._drafted() as draft, translate_errors("written"):
            copy_graph(partial(open_database, self._file, read_only=True), draft, self._folder)
        return self._draft

    @property
    def _draft(self) -> Path:
        return self._file.with_suffix(".draft")

    @contextmanager
    def _drafted(self) -> Iterator[ladybug.Connection]:
        """Give a connection to a new file with the schema."""
        with translate_errors("made"):
            for leftover in self._folder.glob(f"{self._draft.name}*"):
                leftover.unlink()
        with open_database(self._draft) as connection:
            with translate_errors("made"):
                for statement in cypher.ladybug_schema():
                    query(connection, statement)
            yield connection


def _complete_schema(connection: ladybug.Connection) -> None:
    """Make the tables and columns that an empty file, or one of an earlier version, does not have."""
    try:
        query(connection, cypher.READ_GENERATION)
        query(connection, cypher.IS_CURRENT)
    except RuntimeError:
        with translate_errors("made"):
            for statement in cypher.ladybug_schema():
                query(connection, statement)
