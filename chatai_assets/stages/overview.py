"""What there is, what is behind, what is known of one item, and doing one item again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from chatai_assets.adapters.graph.port import GraphStore
from chatai_assets.adapters.records import content, dead_letters, enrichment, ledger, work
from chatai_assets.adapters.records.store import Records
from chatai_assets.adapters.records.work import Key
from chatai_assets.adapters.vectors.port import VectorStore
from chatai_assets.domain.keys import STREAMS, Stage, Stream, hour_of, stream_of

REDO_NOTE = "done again by hand"


class UnknownItem(LookupError):
    """No tenant, or more than one, has an item of this source key; says what to do."""


def status(records: Records, vectors: VectorStore, graph: GraphStore) -> dict[str, Any]:
    """Return counts of both streams and all stores, and the hours that are behind.

    An hour is behind when it is over and something in it is not finished.
    """
    points, size = vectors.count(), graph.count()
    with records.reading() as connection:
        streams: dict[str, Any] = {
            stream: {"received": content.count_items(connection, stream), **work.item_states(connection, stream)}
            for stream in STREAMS
        }
        now = hour_of(time.time())
        behind = sorted({hour for stream in STREAMS for hour in work.open_hours(connection, stream) if hour < now})
        letters = dead_letters.count_open(connection)
    return {
        **streams,
        "vectors": {"points": points},
        "graph": {"nodes": size.nodes, "relationships": size.relationships},
        "dead_letters": {"open": letters},
        "hours_behind": behind,
    }


def find(records: Records, source_key: str, tenant_id: str | None) -> tuple[Stream, Key]:
    """Return the stream and key of an item.

    Args:
        tenant_id: may be None where only one tenant has the item.

    Raises:
        UnknownItem: there is no such item, or the tenant must be named.
    """
    try:
        stream = stream_of(source_key)
    except ValueError as error:
        raise UnknownItem(f"{error}.") from error
    with records.reading() as connection:
        tenants = content.tenants_of(connection, source_key, stream)
    if tenant_id is None and len(tenants) > 1:
        raise UnknownItem(f"{source_key} belongs to {len(tenants)} tenants: name one with --tenant.")
    tenant_id = tenant_id or next(iter(tenants), None)
    if tenant_id is None or tenant_id not in tenants:
        raise UnknownItem(f"There is no {source_key}: `chatai status` shows what there is.")
    return stream, (tenant_id, source_key)


def show(records: Records, source_key: str, tenant_id: str | None) -> dict[str, Any]:
    """Return all that is known of one item, stage by stage; raises ``UnknownItem``."""
    stream, key = find(records, source_key, tenant_id)
    with records.reading() as connection:
        item = content.find_item(connection, stream, *key)
        stages = {row["stage"]: dict(row) for row in work.stages_of(connection, key)}
        holdings = ledger.holdings_of_item(connection, key)
        found: dict[str, Any] = {
            **(dict(item) if item else {}),
            "stages": {name: _stage(row) for name, row in stages.items()},
            "tags": list(enrichment.tags_of_item(connection, key)),
            "entities": [dict(row) for row in enrichment.entities_of_item(connection, key)],
            "holds": {name: sorted(entry.confirmed) for name, entry in holdings.items()},
            "dead_letters": [
                dict(row) for row in dead_letters.list_letters(connection, item=key, include_resolved=True)
            ],
        }
    return found


def _stage(row: dict[str, Any]) -> dict[str, Any]:
    names = ("state", "attempts", "next_attempt_at", "error_class", "run_id", "changed_at", "hour")
    return {name: row[name] for name in names}


def redo(
    records: Records,
    source_key: str,
    *,
    tenant_id: str | None = None,
    stage: Stage = "parse",
    clock: Callable[[], float] = time.time,
) -> tuple[Stream, Key, str]:
    """Make one item pending again from a stage on and close its dead letters of there; return stream, key and hour.

    Raises:
        UnknownItem: there is no such item, the tenant must be named, or the stage never saw the item.
    """
    stream, key = find(records, source_key, tenant_id)
    with records.begin() as connection:
        hour = work.redo(connection, key, stage, now=clock())
        if hour is None:
            raise UnknownItem(f"{source_key} has not come to the stage {stage!r} yet: redo it from an earlier one.")
        again = (stage, *work.DOWNSTREAM[stage])
        dead_letters.resolve_items(connection, key[0], [source_key], REDO_NOTE, stages=again)
    return stream, key, hour
