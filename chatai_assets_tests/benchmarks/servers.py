"""Whether the whole corpus comes to the same on servers as on embedded stores: counts, and every row, point and edge.

Real PostgreSQL and Neo4j, started by ``deploy/services``; Qdrant's wire is the stand-in of the tests. The models cost
nothing, and all arrivals have one moment, so that whatever differs is the stores' doing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from chatai_assets.orchestration.build import build_defs
from chatai_assets.orchestration.local_runner import run_pending, with_larger_runs
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support.migrated_stores import empty_database
from chatai_assets_tests.support.pipeline import (
    contents,
    differences,
    find_inconsistencies,
    ingest_files,
    migrated_settings,
    read_status,
)
from chatai_assets_tests.support.qdrant_wire import run_qdrant_stand_in
from chatai_assets_tests.support.server_processes import run_server
from chatai_assets_tests.support.servers import empty_graph

COUNTED = (schema.inbox, schema.vectors)
"""Tables of which only the number of rows is compared: one tells when and whence, of the other the index has it all."""
SHOWN = 20


@dataclass(frozen=True, slots=True)
class FilledHome:
    """Stores that hold the corpus.

    Attributes:
        seconds: of ingesting and processing.
        told: what ``chatai status`` says.
        held: every row, point, node and edge; see ``pipeline.contents``.
        counts: how many there are of each, and rows of further tables.
    """

    seconds: float
    told: dict[str, Any]
    held: dict[str, Any]
    counts: dict[str, int]


@contextmanager
def servers(*, over_grpc: bool) -> Iterator[dict[str, str]]:
    """Give the variables that select an empty server for every store."""
    with ExitStack() as running:
        postgresql, neo4j = (running.enter_context(run_server(name)) for name in ("postgresql", "neo4j"))
        qdrant = running.enter_context(run_qdrant_stand_in())
        url = running.enter_context(empty_database(postgresql))
        empty_graph(neo4j)
        grpc = {"QDRANT_GRPC_PORT": str(qdrant.grpc_port)} if over_grpc else {}
        yield {"DATABASE_URL": url, "QDRANT_URL": qdrant.url, **neo4j, **grpc}


def fill(home: Path, paths: list[Path], now: float, variables: Mapping[str, str]) -> FilledHome:
    """Bring the corpus into a new home and do all that is due, as ``chatai ingest`` and ``chatai process`` do."""
    started = time.monotonic()
    with Services(migrated_settings(home, variables, log_level="ERROR")) as services:
        ingest_files(services, paths, now=now)
        outcome = run_pending(services, lambda: build_defs(with_larger_runs(services.settings), services=services))
        if outcome.failures:
            raise SystemExit(" ".join(outcome.failures))
        seconds = time.monotonic() - started
        told, held = read_status(services), contents(services)
        with services.records.reading() as connection:
            rows = {f"rows of {table.name}": _rows(connection, table) for table in COUNTED}
    return FilledHome(seconds, told, held, {name: len(found) for name, found in held.items()} | rows)


def _rows(connection: Any, table: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar())


def compare(paths: list[Path], kinds: Mapping[str, bool]) -> tuple[Table, bool]:
    """Return a table of all counts, and whether embedded stores and each kind of servers hold the same.

    Args:
        kinds: title -> whether Qdrant is reached over gRPC.
    """
    now, found = time.time(), dict[str, FilledHome]()
    with tempfile.TemporaryDirectory(prefix="chatai-servers-") as folder:
        found["embedded"] = fill(Path(folder) / "embedded", paths, now, {})
        for title, over_grpc in kinds.items():
            with servers(over_grpc=over_grpc) as variables:
                found[title] = fill(Path(folder) / title, paths, now, variables)
    return _table(found), _agree(found)


def _table(found: Mapping[str, FilledHome]) -> Table:
    embedded = found["embedded"]
    table = Table("", *found, "unlike", title="The whole corpus, embedded and on servers")
    table.add_row("seconds, ingest + process", *(f"{one.seconds:.1f}" for one in found.values()), "")
    unlike = {title: differences(embedded.held, one.held) for title, one in found.items()}
    for name in embedded.counts:
        counts = [f"{one.counts[name]:,}" for one in found.values()]
        table.add_row(name, *counts, str(sum(line.startswith(f"{name}:") for all_ in unlike.values() for line in all_)))
    table.add_row("loose ends", *(str(len(find_inconsistencies(one.held))) for one in found.values()), "")
    table.add_row("status is the same", *("yes" if one.told == embedded.told else "NO" for one in found.values()), "")
    for title, lines in unlike.items():
        for line in lines[:SHOWN]:
            table.add_row(f"{title}: {line}")
    return table


def _agree(found: Mapping[str, FilledHome]) -> bool:
    embedded = found["embedded"]
    return all(
        (one.told, one.counts, find_inconsistencies(one.held)) == (embedded.told, embedded.counts, [])
        and not differences(embedded.held, one.held)
        for one in found.values()
    )


def main(arguments: list[str]) -> None:
    """Print the table; the exit code is 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="servers", description=__doc__)
    parser.add_argument("--corpus", type=Path, default=os.environ.get("CHATAI_CORPUS"))
    parser.add_argument("--door", choices=("rest", "grpc"), action="append", help="to Qdrant; both by default")
    options = parser.parse_args(arguments)
    if options.corpus is None:
        raise SystemExit("Set CHATAI_CORPUS to a folder with posts/ and documents/.")
    doors = {f"servers, {door}": door == "grpc" for door in options.door or ("rest", "grpc")}
    table, agree = compare([options.corpus / "posts", options.corpus / "documents"], doors)
    Console().print(table)
    if not agree:
        raise SystemExit(1)
