"""Both streams without Dagster: a home, arrivals, all stages in order, and the contents of all stores."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
from qdrant_client import QdrantClient
from sqlalchemy import Table, select

from chatai_assets.adapters.vectors import edge_collection as collections
from chatai_assets.adapters.vectors.edge_alias import current
from chatai_assets.adapters.vectors.qdrant import ALIAS
from chatai_assets.domain.ids import STREAMS, ItemKey, Stream
from chatai_assets.domain.stages import ITEM_STAGES, Stage
from chatai_assets.operations.status import status
from chatai_assets.pipeline.engine import StageReport, StageRunConfig
from chatai_assets.pipeline.ingest import IngestReport, Intake, ingest
from chatai_assets.pipeline.runner import run_stage
from chatai_assets.pipeline.search import FoundChunk, search
from chatai_assets.services import Services
from chatai_assets.settings import Settings, read_settings
from chatai_assets.storage import schema
from chatai_assets.storage import work_queue as work
from chatai_assets_tests.support.migrated_stores import copy_migrated_sqlite

NOON = 1_790_000_000.0
"""The default time of arrival, fixed so that payloads of two homes are equal."""
CHAT = -1_000_000_000_123
RUN_COLUMNS = {"seq", "hour", "received_at", "owner", "lease_until", "run_id", "changed_at", "written_at"}
"""Columns that record when and by which run something was done, not its result."""


def free_settings(home: Path, servers: Mapping[str, str] | None = None, **changes: Any) -> Settings:
    """Return settings of a home with free models and one parser process; nothing is made.

    Args:
        servers: variables that select servers; embedded stores by default.
    """
    free = {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free", "CHATAI_PARSER_PROCESSES": "1"}
    return read_settings({**free, **(servers or {})}).replace(**changes)


def migrated_settings(home: Path, servers: Mapping[str, str] | None = None, **changes: Any) -> Settings:
    """Return the same settings; a new home gets a migrated record store, which saves the time of the migrations.

    Scenarios that crash processes or disturb disks use ``free_settings``: there a home is made amid the faults.
    """
    if "DATABASE_URL" not in (servers or {}):
        copy_migrated_sqlite(home / "records.sqlite")
    return free_settings(home, servers, **changes)


def read_status(services: Services) -> dict[str, Any]:
    """Return what ``chatai status`` shows of a home."""
    return status(services.records, services.indexes, services.graph, services.settings.probe_interval_s)


def message(number: int, text: str, *, date: int = 1_700_000_000, edited: int | None = None, chat: int = CHAT) -> Any:
    """Return a channel post as the Bot API sends it."""
    about = {"id": chat, "type": "channel", "title": f"Канал {chat % 100}", "username": f"channel{chat % 100}"}
    post = {"message_id": number, "date": date, "chat": about}
    post |= {"text": text} if text else {"photo": [{"file_id": "p"}]}
    if edited is None:
        return {"update_id": number, "channel_post": post}
    return {"update_id": number, "edited_channel_post": post | {"edit_date": edited}}


def ingest_posts(
    services: Services, messages: Iterable[Any], *, tenant: str = "default", now: float = NOON, door: str = "file"
) -> IngestReport:
    """Ingest posts through a file of updates, one per line."""
    file = services.settings.home / f"updates-{time.monotonic_ns()}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in messages), encoding="utf-8")
    report = ingest_files(services, [file], tenant=tenant, now=now, door=door)
    file.unlink()
    return report


def ingest_files(
    services: Services, paths: Sequence[Path], *, tenant: str = "default", now: float = NOON, door: str = "file"
) -> IngestReport:
    """Ingest files."""
    return ingest(paths, Intake(services.records, services.blobs, tenant, door, 1 << 28, clock=lambda: now))


class Vectors:
    """The vectors of one point; dense ones are compared approximately, because stores round differently."""

    def __init__(self, told: Any) -> None:
        sparse = told["sparse"]
        self.dense = np.asarray(told["dense"], dtype=np.float32)
        self.sparse = [*zip(sparse.indices, map(np.float32, sparse.values), strict=True)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vectors):
            return False
        return self.sparse == other.sparse and np.allclose(self.dense, other.dense, atol=1e-6)

    __hash__ = None  # type: ignore[assignment] # nearly equal ones would need the same hash


@dataclass(frozen=True)
class Limits:
    """Sizes of a run; see ``StageRunConfig``."""

    run_items: int = 10_000
    batch_items: int = 1_000
    projection_items: int = 3_000
    max_attempts: int = 5
    lease_s: float = 60.0


def stage_run_config(
    stream: Stream, hour: str, limits: Limits = Limits(), *, now: float | None = None, only: ItemKey | None = None
) -> StageRunConfig:
    """Return the configuration of a run, with a fixed time or the real clock."""
    clock = time.time if now is None else (lambda: now)
    return StageRunConfig(
        stream=stream,
        hour=hour,
        run_id="run",
        run_items=limits.run_items,
        batch_items=limits.batch_items,
        projection_items=limits.projection_items,
        lease_s=limits.lease_s,
        max_attempts=limits.max_attempts,
        only=only,
        clock=clock,
    )


run = run_stage


def process_all(
    services: Services, *, stages: Sequence[Stage] = ITEM_STAGES, limits: Limits = Limits(), now: float | None = None
) -> list[StageReport]:
    """Run all stages once for every due hour of both streams; return their reports."""
    reports = []
    for stream in STREAMS:
        for hour in due_hours(services, stream, now):
            reports += [run(stage, stage_run_config(stream, hour, limits, now=now), services) for stage in stages]
    return reports


def due_hours(services: Services, stream: Stream, now: float | None = None) -> list[str]:
    """Return the hours of a stream in which something is due."""
    with services.records.reading() as connection:
        return [hour for hour, _ in work.due_hours(connection, stream, now=time.time() if now is None else now)]


def rows(services: Services, table: Table, *where: Any) -> list[dict[str, Any]]:
    """Return rows of the record store."""
    with services.records.reading() as connection:
        return [dict(row) for row in connection.execute(select(table).where(*where)).mappings()]


def states(services: Services, source_key: str) -> dict[str, str]:
    """Return stage -> state of one item."""
    return {row["stage"]: row["state"] for row in rows(services, schema.work, schema.work.c.source_key == source_key)}


def find_chunks(services: Services, question: str, limit: int = 10) -> list[FoundChunk]:
    """Return the search results of the default tenant, best first."""
    return search(
        question,
        limit=limit,
        tenant_id="default",
        kind=None,
        records=services.records,
        indexes=services.indexes,
        stems=services.stems,
    )


def load_payloads(services: Services, source_key: str) -> list[dict[str, Any]]:
    """Return the payloads of the points of one item."""
    return [dict(payload) for _, payload in services.vectors.points() if payload["source"] == source_key]


def contents(services: Services) -> dict[str, Any]:
    """Return the contents of all stores, without times and run ids."""
    nodes = {f"{node.label} {node.id}": dict(node.properties) for node in services.graph.nodes()}
    edges = {
        f"{edge_.type} {edge_.id}": (edge_.start, edge_.end, edge_.source, dict(edge_.properties))
        for edge_ in services.graph.edges()
    }
    letters = rows(services, schema.worker_dlq, schema.worker_dlq.c.resolved.is_(False))
    tags, ledger = _rows_by_key(services, schema.post_enrichment), _rows_by_key(services, schema.index_ledger)
    stages = _stage_states(services)
    return {
        **{table.name: _rows_by_key(services, table) for table in (schema.posts, schema.documents, schema.chunks)},
        **{table.name: _rows_by_key(services, table) for table in (schema.entities, schema.relations)},
        "index_ledger": {key: row for key, row in ledger.items() if row["intended"] or row["confirmed"]},
        "work": {f"{item} {stage}": state for item, found in stages.items() for stage, state in found.items()},
        "tags": {key: row["value"]["tags"] for key, row in tags.items() if row["value"].get("tags")},
        "letters": sorted(
            (row["tenant_id"], row["job_name"], row["source_key"], row["error_class"]) for row in letters
        ),
        "points": dict(services.vectors.points()),
        "vectors": {str(record.id): Vectors(record.vector) for record in _vectors(services)},
        "nodes": nodes,
        "edges": edges,
    }


def _stage_states(services: Services) -> dict[str, dict[str, str]]:
    """Return item -> stage -> state; an item that cannot be parsed has only that state."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in rows(services, schema.work):
        found[f"{row['tenant_id']}|{row['source_key']}"][row["stage"]] = row["state"]
    return {item: {"parse": "failed"} if seen["parse"] == "failed" else seen for item, seen in found.items()}


def _rows_by_key(services: Services, table: Table) -> dict[str, dict[str, Any]]:
    names = [column.name for column in table.primary_key.columns]
    return {
        "|".join(str(row[name]) for name in names): {name: row[name] for name in row if name not in RUN_COLUMNS}
        for row in rows(services, table)
    }


def _vectors(services: Services) -> Iterator[Any]:
    """Yield the points of the index with their vectors."""
    server = services.settings.qdrant
    if server:
        with closing(QdrantClient(url=server.url, check_compatibility=False)) as client:
            if client.get_aliases().aliases:
                yield from _scroll_all(
                    lambda offset: client.scroll(ALIAS, limit=1_000, offset=offset, with_vectors=True)
                )
        return
    folder = current(services.settings.home / "vectors")
    if folder is not None:
        with collections.open_shard(folder) as shard:
            yield from _scroll_all(
                lambda offset: shard.scroll(edge.ScrollRequest(offset=offset, limit=1_000, with_vector=True))
            )


def _scroll_all(scroll: Callable[[Any], tuple[Sequence[Any], Any]]) -> Iterator[Any]:
    page, offset = scroll(None)
    yield from page
    while offset is not None:
        page, offset = scroll(offset)
        yield from page


def find_inconsistencies(found: dict[str, Any]) -> list[str]:
    """Return contradictions between the stores; empty if they are consistent."""
    held = {name: set[str]() for name in ("vectors", "graph")}
    for entry in found["index_ledger"].values():
        held[entry["projection"]] |= entry["confirmed"].keys()
    ends = [f"intended: {key}" for key, entry in found["index_ledger"].items() if entry["intended"]]
    ends += [f"point: {key}" for key in held["vectors"] ^ found["points"].keys()]
    ends += [f"graph: {key}" for key in held["graph"] ^ (found["nodes"].keys() | found["edges"].keys())]
    named = {f"{label} {key}" for start, end, *_ in found["edges"].values() for label, key in (start, end)}
    ends += [f"orphan: {key}" for key in found["nodes"].keys() - named if not key.startswith(("Post ", "Document "))]
    return sorted(ends)


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return where two contents differ: ``store: key``, without any text."""
    found = []
    for store, one in first.items():
        other = second[store]
        if isinstance(one, list):
            found += [f"{store}: {key}" for key in {*one} ^ {*other}]
        else:
            keys = one.keys() | other.keys()
            found += [
                f"{store}: {key}{_describe_change(one, other, key)}" for key in keys if one.get(key) != other.get(key)
            ]
    return sorted(found)


def _describe_change(one: dict[str, Any], other: dict[str, Any], key: str) -> str:
    if key not in one or key not in other:
        return f" only in the {'first' if key in one else 'second'}"
    if isinstance(one[key], dict):
        return f" {sorted(name for name in one[key] if one[key][name] != other[key].get(name))}"
    return ""
