"""Shows which names mean one entity, and lets people override the rules of ``domain.entities.resolution``."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from chatai_assets.domain.entities.resolution import (
    EntityKey,
    display_name,
    resolve_with_overrides,
    separate_entity_key,
)
from chatai_assets.domain.errors import OperationRefused
from chatai_assets.domain.extraction import KINDS
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.text.spelling import plain_form
from chatai_assets.storage import entity_overrides as overrides
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records, Transaction

BATCH_ITEMS = 1_000


class EntityNotFound(OperationRefused):
    """No item of the tenant mentions this form, or its meaning was never overridden."""

    code = "EntityNotFound"


def show_entities(records: Records, tenant_id: str, name: str) -> list[dict[str, Any]]:
    """Return the entities that a name may mean, at most one of each kind, each with all its forms and the reasons.

    It reads all forms of the tenant, which takes some seconds for a million of them.

    Raises:
        EntityNotFound: no item mentions any of them.
    """
    form = plain_form(name)
    found: defaultdict[EntityKey, list[dict[str, Any]]] = defaultdict(list)
    with records.reading() as connection:
        by_hand = overrides.overrides_of(connection, tenant_id)
        wanted = {resolve_with_overrides(kind, form, by_hand)[:2] for kind in KINDS}
        for mentioned in overrides.forms_mentioned(connection, tenant_id):
            kind, key, reasons = resolve_with_overrides(mentioned.kind, mentioned.form, by_hand)
            if (kind, key) in wanted:
                found[kind, key].append({**mentioned._asdict(), "reasons": list(reasons)})
        for forms in found.values():
            for each in forms:
                set_by_hand = overrides.find_override(connection, tenant_id, (each["kind"], each["form"]))
                each["note"] = set_by_hand["note"] if set_by_hand else None
    if not found:
        raise EntityNotFound(f"No post or document of {tenant_id!r} mentions {name!r}.")
    return [
        {"kind": kind, "key": key, "name": display_name(kind, key), "forms": found[kind, key]} for kind, key in found
    ]


def split(
    records: Records, tenant_id: str, kind: str, name: str, *, note: str, clock: Callable[[], float] = time.time
) -> int:
    """Make a form a separate entity; return how many items the next run links again.

    Raises:
        EntityNotFound: no item mentions it.
    """
    with records.begin() as connection:
        form = _require_mentioned(connection, tenant_id, kind, name)
        named = (kind, form)
        overrides.set_override(connection, tenant_id, named, separate_entity_key(kind, form), note=note, now=clock())
    return propagate_overrides(records, clock)


def merge(
    records: Records,
    tenant_id: str,
    kind: str,
    name: str,
    into: str,
    *,
    note: str,
    clock: Callable[[], float] = time.time,
) -> int:
    """Make a form mean what another form of its kind means; return how many items the next run links again.

    Raises:
        EntityNotFound: no item mentions one of the two forms.
    """
    with records.begin() as connection:
        form, other = (_require_mentioned(connection, tenant_id, kind, each) for each in (name, into))
        meaning = resolve_with_overrides(kind, other, overrides.overrides_of(connection, tenant_id))[:2]
        overrides.set_override(connection, tenant_id, (kind, form), meaning, note=note, now=clock())
    return propagate_overrides(records, clock)


def reset_override(
    records: Records, tenant_id: str, kind: str, name: str, *, clock: Callable[[], float] = time.time
) -> int:
    """Remove the override of a form; return how many items the next run links again.

    Raises:
        EntityNotFound: the form has no override.
    """
    named = (kind, plain_form(name))
    with records.begin() as connection:
        if overrides.find_override(connection, tenant_id, named) is None:
            raise EntityNotFound(f"Nobody set what {name!r} means as {kind}.")
        overrides.set_override(connection, tenant_id, named, None, note="", now=clock())
    return propagate_overrides(records, clock)


def propagate_overrides(records: Records, clock: Callable[[], float] = time.time) -> int:
    """Make the stage ``link`` pending for all items that an override affects; return how many.

    Progress is stored, so after an interruption the next call resumes.
    """
    items = 0
    while (count := _propagate_some(records, clock())) is not None:
        items += count
    return items


def _propagate_some(records: Records, now: float) -> int | None:
    """Requeue the next items of an override in one transaction; return None if all overrides are propagated."""
    with records.reading() as connection:  # usually nothing is left to propagate, and no write lock is needed
        if overrides.all_propagated(connection):
            return None
    with records.begin() as connection:
        override = overrides.next_to_propagate(connection)
        if override is None:
            return None
        tenant_id, named = override["tenant_id"], (override["kind"], override["form"])
        keys = overrides.items_mentioning(connection, tenant_id, named, override["told_up_to"] or "", BATCH_ITEMS)
        work.requeue(connection, "link", [ItemKey(tenant_id, key) for key in keys], now=now)
        overrides.record_progress(connection, override, keys[-1] if len(keys) == BATCH_ITEMS else None)
    return len(keys)


def _require_mentioned(connection: Transaction, tenant_id: str, kind: str, name: str) -> str:
    form = plain_form(name)
    if not overrides.items_mentioning(connection, tenant_id, (kind, form), "", 1):
        raise EntityNotFound(
            f"No post or document of {tenant_id!r} mentions {name!r} as {kind}: "
            f"`chatai entities show` lists the forms of a name."
        )
    return form
