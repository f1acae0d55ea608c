"""Items that wait for the budget of their tenant: when a run says so, and when they go on."""

from __future__ import annotations

from chatai_assets.domain.costs import Budget, day_of
from chatai_assets.domain.errors import AllBudgetsExceeded, BudgetExceeded
from chatai_assets.domain.ids import Stream
from chatai_assets.domain.stages import PAID_STAGES, Stage
from chatai_assets.storage import costs
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records, Transaction

NAMED = 3
_NAME = BudgetExceeded.code


def pause_already_reported(connection: Transaction, stream: Stream, stage: Stage, hour: str, now: float) -> bool:
    """Return whether a run has already said that items of an hour wait for a budget."""
    return work.has_deferred(connection, stream, stage, hour, _NAME, now=now)


def all_budgets_exceeded(paused: dict[str, str]) -> AllBudgetsExceeded:
    """Return the outage of tenants, each with what is to be said of it."""
    said = [paused[tenant_id] for tenant_id in sorted(paused)]
    more = f" {len(said) - NAMED} more tenants wait likewise." if len(said) > NAMED else ""
    return AllBudgetsExceeded(" ".join(said[:NAMED]) + more)


def resume_deferred(records: Records, stream: Stream, budget: Budget, now: float) -> dict[str, int]:
    """Release items whose tenant has budget again; return tenant -> items that still wait.

    Args:
        budget: as it is now: it may have been raised.
        now: epoch seconds.
    """
    with records.reading() as connection:
        waiting = work.count_deferred(connection, stream, PAID_STAGES, _NAME, now=now)
    if not waiting:
        return {}
    with records.begin() as connection:
        free = [tenant for tenant in waiting if not budget.is_spent(costs.spent(connection, tenant, day_of(now)))]
        work.release_deferred(connection, stream, PAID_STAGES, free, _NAME)
    return {tenant: count for tenant, count in waiting.items() if tenant not in free}
