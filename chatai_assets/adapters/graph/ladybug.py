"""The graph embedded in this process, in one file.

No process may open the file while another writes it, so each use takes the lock (``files.locks``), opens and closes.
A process killed while writing leaves a log that the next writer replays: a change is applied completely or not at all.
A process killed during a commit leaves a truncated log, which is cut after its last complete transaction; if that
loses confirmed data, the generation is lost with it. A file that cannot be opened even then is quarantined.
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
    """The graph in a folder of its own; implements ``base.GraphStore``.

    Args:
        path: the folder; created on first use.
        turn_timeout_s: seconds to wait for the lock.
    """

    def __init__(self, path: Path, turn_timeout_s: float = TURN_TIMEOUT_S) -> None:
        self._folder = path
        self._file = path / GRAPH
        self._lock = GraphLock(path, turn_timeout_s)

    def close(self) -> None:
        """Do nothing: it is open only while it is read or written."""

    @contextmanager
    def writing(self) -> Iterator[LadybugWriter]:
        """Lock the graph for writing; for some 3,000 items at most, so that others do not wait for long.

        Raises:
            StoreUnavailable: the lock is held for too long, or the file cannot be opened or written.
        """
        with self._lock.writing():
            with ExitStack() as stack:
                connection = self._open(stack) or self._create(stack)
                _complete_schema(connection)
                writer = LadybugWriter(connection, self._folder)
                self._sync_generation(writer.generation)  # a killed writer may have written it to the graph only
                yield writer
                self._skip_checkpoint(connection)
            self._sync_generation(writer.generation)

    def generation(self) -> str | None:
        """Return the generation of the last write session without opening the graph; None if there is none."""
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
        """Copy the graph into a new file without deleted data, and remove quarantined files."""
        with self._lock.writing():
            with ExitStack() as stack:
                connection = self._open(stack)
                if connection:
                    _complete_schema(connection)
            copied = self._copy() if connection else None
            with translate_errors("written"):
                if copied:
                    for log_file in self._folder.glob(f"{GRAPH}.*"):  # its contents are in the copy
                        log_file.unlink()
                    copied.replace(self._file)
                for lost in self._folder.glob("lost-*"):
                    rmtree(lost)
        return True

    def nodes(self) -> Iterator[Node]:
        """Yield every node, label by label; concurrent writes may or may not be included.

        Writers wait until a batch is consumed (``ladybug_reader``).
        """
        for label, properties in cypher.NODES.items():
            for node_id, *values in iter_nodes(self._reading, label):
                yield Node(label, node_id, dict(zip(properties, values, strict=True)))

    def edges(self) -> Iterator[Edge]:
        """Yield every edge, type by type, as ``nodes`` does."""
        for type_, properties in cypher.EDGES.items():
            for start, end in cypher.ENDPOINTS[type_]:
                for start_id, end_id, edge_id, source, *values in iter_edges(self._reading, type_, start, end):
                    named = dict(zip(properties, values, strict=True))
                    yield Edge(type_, edge_id, (start, start_id), (end, end_id), source, named)

    def _sync_generation(self, generation: str | None) -> None:
        """Write the generation of the graph to the folder, if they differ."""
        if read_generation(self._folder) != generation:
            write_generation(self._folder, generation)

    def _skip_checkpoint(self, connection: ladybug.Connection) -> None:
        """Keep a short log: the next use replays it, while a checkpoint rewrites all edges."""
        file = self._file.with_name(f"{self._file.name}.wal")
        written = file.stat().st_size if file.exists() else 0
        if written < max(SHORT_LOG_BYTES, self._file.stat().st_size // LOG_SHARE):
            with translate_errors("written"):
                query(connection, "CALL force_checkpoint_on_close=false")

    @contextmanager
    def _reading(self) -> Iterator[ladybug.Connection | None]:
        """Yield a connection, or None before the first write."""
        with ExitStack() as stack:
            yield (self._open_shared(stack) or self._open_exclusive(stack)) if self._file.exists() else None

    def _open_shared(self, stack: ExitStack) -> ladybug.Connection | None:
        """Return a read-only connection, or None if something must be written first.

        A killed writer left a log to replay, or the tables are those of an earlier version.
        """
        with ExitStack() as attempt:
            attempt.enter_context(self._lock.reading())
            with suppress(StoreUnavailable):
                connection = attempt.enter_context(open_database(self._file, read_only=True))
                with translate_errors("read"):
                    query(connection, cypher.IS_CURRENT)
                stack.push(attempt.pop_all())
                return connection
        return None

    def _open_exclusive(self, stack: ExitStack) -> ladybug.Connection | None:
        stack.enter_context(self._lock.writing())
        connection = self._open(stack)
        if connection:
            _complete_schema(connection)
        return connection

    def _open(self, stack: ExitStack) -> ladybug.Connection | None:
        """Open the file under the exclusive lock; None if there is none, or if it was damaged and quarantined."""
        if not self._file.exists():
            return None
        with suppress(StoreDamaged):
            return stack.enter_context(open_database(self._file))
        try:
            connection = stack.enter_context(open_database(self._file, cut_log=True))
        except StoreDamaged as error:
            quarantine_files(
                self._folder, [*self._folder.glob(f"{GRAPH}*"), *self._folder.glob(MARK)], "graph", str(error)
            )
            return None
        self._sync_generation(generation_in(connection))
        log.warning(LOG_CUT, store="graph", advice="Nothing to do: a killed writer's last change is written again.")
        return connection

    def _create(self, stack: ExitStack) -> ladybug.Connection:
        """Create the file with its schema under a draft name, so that an existing file is always complete."""
        with self._new_draft():
            pass
        with translate_errors("made"):
            self._draft.replace(self._file)
        return stack.enter_context(open_database(self._file))

    def _copy(self) -> Path:
        """Copy the graph into a draft file and return it; the caller holds the exclusive lock."""
        with self._new_draft() as draft, translate_errors("written"):
            copy_graph(partial(open_database, self._file, read_only=True), draft, self._folder)
        return self._draft

    @property
    def _draft(self) -> Path:
        return self._file.with_suffix(".draft")

    @contextmanager
    def _new_draft(self) -> Iterator[ladybug.Connection]:
        """Yield a connection to a new draft file with the schema."""
        with translate_errors("made"):
            for leftover in self._folder.glob(f"{self._draft.name}*"):
                leftover.unlink()
        with open_database(self._draft) as connection:
            with translate_errors("made"):
                for statement in cypher.ladybug_schema():
                    query(connection, statement)
            yield connection


def _complete_schema(connection: ladybug.Connection) -> None:
    """Create tables and columns that an empty file, or one of an earlier version, lacks."""
    try:
        query(connection, cypher.READ_GENERATION)
        query(connection, cypher.IS_CURRENT)
    except RuntimeError:
        with translate_errors("made"):
            for statement in cypher.ladybug_schema():
                query(connection, statement)
