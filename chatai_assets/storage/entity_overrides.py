"""Overrides of entity resolution that people set, and which items mention a name.

An override takes effect first and is propagated later: ``told_up_to`` says up to which source key the items that
mention its form were linked again. An override that was taken back is propagated as well before its row is deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, TypedDict

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, tuple_, update

from chatai_assets.domain.entities.resolution import EntityKey, Overrides
from chatai_assets.storage.schema import entities, entity_overrides, work
from chatai_assets.storage.sql import columns_of, fetch_first, upsert

FORMS_AT_ONCE = 5_000


class Mentioned(NamedTuple):
    """A form that items of a tenant mention, and by how many of them."""

    kind: str
    form: str
    items: int


class OverrideRow(TypedDict):
    """What a form means by hand.

    Attributes:
        means_kind: of the entity that is meant, as ``means_key``; None for an override that was taken back.
        set_at: epoch seconds.
        told_up_to: source key up to which the items that mention the form were opened again; None if all were.
    """

    tenant_id: str
    kind: str
    form: str
    means_kind: str | None
    means_key: str | None
    note: str
    set_at: float
    told_up_to: str | None


def overrides_of_owner(connection: Connection, owner: str) -> dict[str, Overrides]:
    """Return tenant -> overrides, of the tenants in a claim that have some."""
    table = entity_overrides.c
    tenants = select(work.c.tenant_id).where(work.c.owner == owner)
    return _by_tenant(connection, table.tenant_id.in_(tenants))


def overrides_of(connection: Connection, tenant_id: str) -> Overrides:
    """Return the overrides of a tenant."""
    return _by_tenant(connection, entity_overrides.c.tenant_id == tenant_id).get(tenant_id, {})


def _by_tenant(connection: Connection, chosen: ColumnElement[bool]) -> dict[str, Overrides]:
    table = entity_overrides.c
    columns = (table.tenant_id, table.kind, table.form, table.means_kind, table.means_key)
    found: defaultdict[str, dict[EntityKey, EntityKey]] = defaultdict(dict)
    set_now = select(*columns).where(chosen, table.means_key.is_not(None))
    for tenant, kind, form, *means in connection.execute(set_now):
        found[tenant][kind, form] = (means[0], means[1])
    return dict(found)


def set_override(
    connection: Connection, tenant_id: str, named: EntityKey, means: EntityKey | None, *, note: str, now: float
) -> None:
    """Set which entity a form means, given with its kind; None takes the override back. Propagation starts again."""
    kind, key = means or (None, None)
    row = {"tenant_id": tenant_id, "kind": named[0], "form": named[1], "means_kind": kind, "means_key": key}
    upsert(connection, entity_overrides, [{**row, "note": note, "set_at": now, "told_up_to": ""}])


def find_override(connection: Connection, tenant_id: str, named: EntityKey) -> OverrideRow | None:
    """Return the override of a form, unless it was taken back."""
    table = entity_overrides.c
    mine = (table.tenant_id == tenant_id, table.kind == named[0], table.form == named[1])
    statement = select(*columns_of(entity_overrides, OverrideRow)).where(*mine, table.means_key.is_not(None))
    return fetch_first(connection, statement, OverrideRow)


def all_propagated(connection: Connection) -> bool:
    """Return whether all overrides are propagated; a cheap query."""
    return connection.execute(select(1).where(entity_overrides.c.told_up_to.is_not(None)).limit(1)).first() is None


def next_to_propagate(connection: Connection) -> OverrideRow | None:
    """Return an override that is not fully propagated, locked; None if there is none."""
    table = entity_overrides.c
    pending = select(entity_overrides).where(table.told_up_to.is_not(None)).order_by(*entity_overrides.primary_key)
    return fetch_first(connection, pending.limit(1).with_for_update(), OverrideRow)


def record_progress(connection: Connection, override: OverrideRow, up_to: str | None) -> None:
    """Record up to which source key an override is propagated; None for all, which deletes one that was taken back."""
    table = entity_overrides.c
    mine = and_(
        table.tenant_id == override["tenant_id"], table.kind == override["kind"], table.form == override["form"]
    )
    if up_to is None and override["means_key"] is None:
        connection.execute(delete(entity_overrides).where(mine))
    else:
        connection.execute(update(entity_overrides).where(mine).values(told_up_to=up_to))


def items_mentioning(connection: Connection, tenant_id: str, named: EntityKey, after: str, limit: int) -> list[str]:
    """Return the first source keys after one of those items that mention a form."""
    table = entities.c
    mine = (table.tenant_id == tenant_id, table.form == named[1], table.kind == named[0], table.source_key > after)
    keys = select(table.source_key).where(*mine).distinct().order_by(table.source_key).limit(limit)
    return list(connection.execute(keys).scalars())


def forms_mentioned(connection: Connection, tenant_id: str) -> Iterator[Mentioned]:
    """Yield the forms of a tenant in order, reading some thousands at a time."""
    table = entities.c
    last = ("", "")
    while True:
        page = connection.execute(
            select(table.kind, table.form, func.count(table.source_key.distinct()))
            .where(table.tenant_id == tenant_id, tuple_(table.form, table.kind) > last)
            .group_by(table.form, table.kind)
            .order_by(table.form, table.kind)
            .limit(FORMS_AT_ONCE)
        ).all()
        if not page:
            return
        yield from (Mentioned(*row) for row in page)
        last = (page[-1][1], page[-1][0])
