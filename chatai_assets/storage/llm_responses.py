"""Responses of providers by the fingerprint of the request: a tenant never pays twice for the same request.

A response is stored as soon as it arrives, and linked to the items that use it when their results are committed. A
response without a link belongs to interrupted work and is linked when that work is done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, delete, exists, select

from chatai_assets.domain.ids import ItemKey
from chatai_assets.storage.schema import provider_result_uses, provider_results
from chatai_assets.storage.sql import upsert

AT_ONCE = 500
"""Fingerprints in one statement: SQLite allows 32,766 parameters, query planners work better with fewer."""


def find_results(connection: Connection, tenant_id: str, fingerprints: Sequence[str]) -> dict[str, Any]:
    """Return fingerprint -> response, for those that are stored."""
    found: dict[str, Any] = {}
    columns = (provider_results.c.fingerprint, provider_results.c.answer)
    for some in _portions(fingerprints):
        mine = provider_results.c.fingerprint.in_(some)
        rows = connection.execute(select(*columns).where(provider_results.c.tenant_id == tenant_id, mine))
        found.update((row.fingerprint, row.answer) for row in rows)
    return found


def store_results(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store ``tenant_id fingerprint provider answer written_at``; a response that is there already stays."""
    in_order = sorted(rows, key=lambda row: (row["tenant_id"], row["fingerprint"]))
    upsert(connection, provider_results, in_order, update=())


def link_results(connection: Connection, uses: Iterable[tuple[ItemKey, str]]) -> None:
    """Record which items use which responses: (item, fingerprint)."""
    rows = [
        {"tenant_id": tenant_id, "source_key": source_key, "fingerprint": fingerprint}
        for (tenant_id, source_key), fingerprint in sorted(set(uses))
    ]
    upsert(connection, provider_result_uses, rows, update=())


def erase_results(connection: Connection, keys: Iterable[ItemKey]) -> int:
    """Delete the links of items, and the responses that no other item uses; return the number of responses."""
    gone = 0
    for tenant_id, items in groupby(sorted(keys), key=itemgetter(0)):
        gone += sum(_forget(connection, tenant_id, some) for some in _portions([key[1] for key in items]))
    return gone


def drop_unused(connection: Connection, tenant_id: str, until: float) -> int:
    """Delete a tenant's responses that no item uses, written until an epoch second; return how many."""
    uses, results = provider_result_uses.c, provider_results.c
    needed = exists().where(uses.tenant_id == results.tenant_id, uses.fingerprint == results.fingerprint)
    loose = (results.tenant_id == tenant_id, results.written_at <= until, ~needed)
    return connection.execute(delete(provider_results).where(*loose)).rowcount


def _forget(connection: Connection, tenant_id: str, source_keys: Collection[str]) -> int:
    uses, results = provider_result_uses.c, provider_results.c
    mine = (uses.tenant_id == tenant_id, uses.source_key.in_(source_keys))
    used = connection.execute(select(uses.fingerprint).distinct().where(*mine)).scalars().all()
    connection.execute(delete(provider_result_uses).where(*mine))
    needed = exists().where(uses.tenant_id == results.tenant_id, uses.fingerprint == results.fingerprint)
    gone = 0
    for some in _portions(used):
        lonely = (results.tenant_id == tenant_id, results.fingerprint.in_(some), ~needed)
        gone += connection.execute(delete(provider_results).where(*lonely)).rowcount
    return gone


def _portions(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[first : first + AT_ONCE] for first in range(0, len(values), AT_ONCE))
