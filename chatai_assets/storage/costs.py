"""Costs of providers by tenant, day, provider, stage and hour of arrival."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from sqlalchemy import Connection, RowMapping, Select, func, select

from chatai_assets.domain.costs import NANO, Account, Amount, Cost
from chatai_assets.storage.schema import provider_costs, provider_results
from chatai_assets.storage.sql import insert_into

FIGURES = (
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "embedding_tokens",
    "unpriced_tokens",
    "money_nano",
    "hits",
    "misses",
)
KEYS = ("tenant_id", "day", "provider", "stream", "stage", "hour")


class CostFigures(TypedDict):
    """What calls came to; ``money`` is None if no price is known, ``unpriced_tokens`` count those without a price."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    embedding_tokens: int
    unpriced_tokens: int
    hits: int
    misses: int
    tokens: int
    money: float | None


class DailyCosts(CostFigures):
    """The costs of one day, tenant, stage and provider."""

    day: str
    tenant_id: str
    stage: str
    provider: str


def add_costs(connection: Connection, provider: str, day: str, costs: Mapping[Account, Cost]) -> None:
    """Add what was paid on a day."""
    rows = [
        {**account._asdict(), "day": day, "provider": provider, **{name: cost[name] for name in FIGURES}}
        for account, cost in sorted(costs.items())
        if cost
    ]
    if rows:
        statement = insert_into(connection, provider_costs)
        more = {name: provider_costs.c[name] + statement.excluded[name] for name in FIGURES}
        connection.execute(statement.on_conflict_do_update(index_elements=KEYS, set_=more), rows)


def spent(connection: Connection, tenant_id: str, day: str) -> Amount:
    """Return what a tenant spent on a day, at all providers."""
    mine = (provider_costs.c.tenant_id == tenant_id, provider_costs.c.day == day)
    row = connection.execute(_sums(select()).where(*mine)).mappings().one()
    figures = priced(row)
    return Amount(figures["tokens"], int(row["money_nano"]))


def costs_since(connection: Connection, day: str) -> list[DailyCosts]:
    """Return what was paid from a day on: one row per day, tenant, stage and provider, the newest day first."""
    by = [provider_costs.c[name] for name in ("day", "tenant_id", "stage", "provider")]
    rows = connection.execute(
        _sums(select(*by)).where(provider_costs.c.day >= day).group_by(*by).order_by(by[0].desc(), *by[1:])
    )
    return [
        {
            "day": row["day"],
            "tenant_id": row["tenant_id"],
            "stage": row["stage"],
            "provider": row["provider"],
            **priced(row),
        }
        for row in rows.mappings()
    ]


def costs_of_hour(connection: Connection, stream: str, stage: str, hour: str) -> dict[str, Any]:
    """Return what an hour of arrival cost at one stage so far, for all tenants; empty if no provider was asked."""
    mine = (provider_costs.c.stream == stream, provider_costs.c.stage == stage, provider_costs.c.hour == hour)
    if connection.execute(select(provider_costs.c.day).where(*mine).limit(1)).first() is None:
        return {}
    figures = priced(connection.execute(_sums(select()).where(*mine)).mappings().one())
    return {**figures, "kept_answers": count_kept(connection)}


def count_kept(connection: Connection) -> int:
    """Return how many provider responses are stored."""
    return connection.execute(select(func.count()).select_from(provider_results)).scalar_one()


def priced(row: RowMapping) -> CostFigures:
    """Return the figures of a row with the sum of tokens, and the money; None if no price is known."""
    figures = {name: int(row[name] or 0) for name in FIGURES}
    money = figures["money_nano"]
    tokens = figures["prompt_tokens"] + figures["completion_tokens"] + figures["embedding_tokens"]
    known = money or figures["unpriced_tokens"] < tokens
    return {
        "calls": figures["calls"],
        "prompt_tokens": figures["prompt_tokens"],
        "completion_tokens": figures["completion_tokens"],
        "embedding_tokens": figures["embedding_tokens"],
        "unpriced_tokens": figures["unpriced_tokens"],
        "hits": figures["hits"],
        "misses": figures["misses"],
        "tokens": tokens,
        "money": money / NANO if known else None,
    }


def _sums(statement: Select[Any]) -> Select[Any]:
    sums = [func.coalesce(func.sum(provider_costs.c[name]), 0).label(name) for name in FIGURES]
    return statement.add_columns(*sums)
