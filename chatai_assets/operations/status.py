"""Status of a home, costs, details of one item, and redoing one item."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from chatai_assets.adapters.graph.base import GraphStore
from chatai_assets.domain.costs import DAY_S, day_of
from chatai_assets.domain.errors import OperationRefused, StoreUnavailable
from chatai_assets.domain.ids import STREAMS, ItemKey, Stream, hour_of, stream_of
from chatai_assets.domain.stages import Stage, downstream_of
from chatai_assets.operations.outages import outages_as_json
from chatai_assets.pipeline.projections.recovery import is_lost, probe_graph, probe_vectors
from chatai_assets.pipeline.projections.vector_indexes import Indexes, newer_layout
from chatai_assets.storage import costs, dead_letters, enrichment, tombstones
from chatai_assets.storage import items as content
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage import web_pages as pages
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.costs import DailyCosts
from chatai_assets.storage.dead_letters import DeadLetterFilter
from chatai_assets.storage.engine import Records
from chatai_assets.storage.vector_indexes import Index

CATCH_UP = "chatai process"
"""The UI equivalent is a backfill: asset, Materialize, the hours that are behind."""
REDO_NOTE = "done again by hand"


T = TypeVar("T")


class ItemNotFound(OperationRefused):
    """No tenant, or more than one, has an item of this source key; says what to do."""

    code = "ItemNotFound"


def status(records: Records, indexes: Indexes, graph: GraphStore, probe_interval_s: float) -> dict[str, Any]:
    """Return counts of both streams and all stores, today's costs, outages, and the hours that are behind.

    An hour is behind if it is over and has unfinished items. A projection is lost if it is not the one that was written
    last; a sensor, or ``process``, starts its rebuild. The counts of a store that is unavailable are None, so that the
    status can be shown during an outage.
    """
    opened, size = indexes.all(), _or_none(graph.count)
    points = next(_or_none(index.vectors.count) for index in opened if index.about.state == "serving")
    projections = (*map(probe_vectors, opened), probe_graph(graph))
    lost = [projected.name for projected in projections if _or_none(partial(is_lost, records, projected))]
    with records.reading() as connection:
        streams: dict[str, Any] = {
            stream: {"received": content.count_items(connection, stream), **work.item_states(connection, stream)}
            for stream in STREAMS
        }
        now = hour_of(time.time())
        behind = sorted({hour for stream in STREAMS for hour in work.open_hours(connection, stream) if hour < now})
        letters = dead_letters.count_open(connection)
        paid = costs.costs_since(connection, day_of(time.time()))
    return {
        **streams,
        "vectors": {"points": points},
        "indexes": [_index_as_json(index.about) for index in opened],
        "graph": {"nodes": size and size.nodes, "relationships": size and size.relationships},
        "dead_letters": {"open": letters},
        "costs_today": sum_costs(paid),
        "hours_behind": behind,
        "lost": lost,
        "catch_up": CATCH_UP if behind else None,
        "outages": outages_as_json(records, probe_interval_s),
    }


def _index_as_json(index: Index) -> dict[str, Any]:
    advice = newer_layout(index) if index.state == "serving" else ""
    return {
        "number": index.number,
        "embedder": index.embedder,
        "model": index.model,
        "state": index.state,
        "layout": index.layout,
        "advice": advice or None,
    }


def _or_none(count: Callable[[], T]) -> T | None:
    try:
        return count()
    except StoreUnavailable:
        return None


def sum_costs(rows: Iterable[DailyCosts]) -> dict[str, Any]:
    """Return calls, tokens and money of rows of costs together; money is None where no price is known."""
    rows = list(rows)
    money = [row["money"] for row in rows if row["money"] is not None]
    return {
        "calls": sum(row["calls"] for row in rows),
        "tokens": sum(row["tokens"] for row in rows),
        "money": sum(money) if money else None,
    }


def cost_report(records: Records, days: int, tenant_id: str | None, now: float) -> dict[str, Any]:
    """Return the costs of providers in the last days (UTC), including today.

    Args:
        tenant_id: None for all tenants.
        now: epoch seconds.
    """
    with records.reading() as connection:
        rows = costs.costs_since(connection, day_of(now - (days - 1) * DAY_S))
        kept = costs.count_kept(connection)
    rows = [row for row in rows if tenant_id in {None, row["tenant_id"]}]
    return {"costs": rows, "total": sum_costs(rows), "kept_answers": kept}


def resolve_item(records: Records, source_key: str, tenant_id: str | None) -> tuple[Stream, ItemKey]:
    """Return the stream and key of an item.

    Args:
        tenant_id: may be None if only one tenant has the item.

    Raises:
        UnknownItem: there is no such item, or the tenant must be named.
    """
    try:
        stream = stream_of(source_key)
    except ValueError as error:
        raise ItemNotFound(f"{error}.") from error
    with records.reading() as connection:
        tenants = content.tenants_of(connection, source_key, stream)
    if tenant_id is None and len(tenants) > 1:
        raise ItemNotFound(f"{source_key} belongs to {len(tenants)} tenants: name one with --tenant.")
    tenant_id = tenant_id or next(iter(tenants), None)
    if tenant_id is None or tenant_id not in tenants:
        if note := _erasure_note(records, source_key, tenant_id):
            raise ItemNotFound(f"{source_key} {note}: nothing is left of it but a tombstone.")
        raise ItemNotFound(f"There is no {source_key}: `chatai status` shows what there is.")
    return stream, ItemKey(tenant_id, source_key)


def _erasure_note(records: Records, source_key: str, tenant_id: str | None) -> str:
    """Return how an item was erased; "" if it never existed."""
    with records.reading() as connection:
        for tenant in [tenant_id] if tenant_id else tombstones.tenants_of_tombstones(connection, source_key):
            if tombstone := tombstones.tombstone_of(connection, ItemKey(tenant, source_key)):
                return "was forgotten" if tombstone["reason"] == "forgotten" else "expired"
    return ""


def describe_item(records: Records, source_key: str, tenant_id: str | None) -> dict[str, Any]:
    """Return everything stored about one item, stage by stage; raises ``ItemNotFound``."""
    stream, key = resolve_item(records, source_key, tenant_id)
    with records.reading() as connection:
        item = content.find_item(connection, stream, *key)
        stages = {row["stage"]: dict(row) for row in work.stages_of(connection, key)}
        holdings = ledger.holdings_of_item(connection, key)
        found: dict[str, Any] = {
            **(dict(item) if item else {}),
            "stages": {name: _stage_as_json(row) for name, row in stages.items()},
            "tags": list(enrichment.tags_of_item(connection, key)),
            "recognised": enrichment.recognition_of_item(connection, key),
            "linked_pages": pages.pages_of_item(connection, key),
            "entities": [dict(row) for row in enrichment.entities_of_item(connection, key)],
            "holds": {name: sorted(entry.confirmed) for name, entry in holdings.items()},
            "dead_letters": [
                dict(row)
                for row in dead_letters.list_dead_letters(connection, DeadLetterFilter(item=key, resolved=None))
            ],
        }
    return found


def _stage_as_json(row: dict[str, Any]) -> dict[str, Any]:
    names = ("state", "attempts", "next_attempt_at", "error_class", "run_id", "changed_at", "hour")
    return {name: row[name] for name in names}


def redo(
    records: Records,
    source_key: str,
    *,
    tenant_id: str | None = None,
    stage: Stage = "parse",
    clock: Callable[[], float] = time.time,
) -> tuple[Stream, ItemKey, str]:
    """Make one item pending again from a stage on and close its dead letters of there; return stream, key and hour.

    Raises:
        UnknownItem: there is no such item, the tenant must be named, or the stage never saw the item.
    """
    stream, key = resolve_item(records, source_key, tenant_id)
    with records.begin() as connection:
        hour = work.redo(connection, key, stage, now=clock())
        if hour is None:
            raise ItemNotFound(f"{source_key} has not come to the stage {stage!r} yet: redo it from an earlier one.")
        again = (stage, *downstream_of(stage))
        dead_letters.resolve_items(connection, key.tenant_id, [source_key], REDO_NOTE, stages=again)
    return stream, key, hour
