"""Rate limiter of one provider: a call starts only when its tenant's quota and budget and a free slot permit it.

Within a process the calls of a tenant start in the order in which they came. All that wait at one moment are admitted
in one transaction, which also records those that finished meanwhile. Processes share the limits through the record
store, and return to it at slightly different moments.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from chatai_assets.domain.costs import NOTHING, Account, Amount, Cost, next_day
from chatai_assets.domain.errors import BudgetExceeded, Deferred, StoreUnavailable
from chatai_assets.domain.rate_limits import RateLimitRules
from chatai_assets.observability import QUOTA_WAIT, log
from chatai_assets.storage import rate_limits
from chatai_assets.storage.engine import Records
from chatai_assets.storage.rate_limits import Admission, Caller, FinishedCalls, Permit

POLL_S = 1.0
"""A permit may become free earlier than planned: others do not use all that they could."""
MAX_RETRY_AFTER_S = 3_600.0
GATHER_S = 0.02
"""How long finished calls wait for one that starts, to be recorded together."""
CALL_LEASE_S = 100.0
"""More than any call may take (``http.Deadlines``)."""
MIN_LOGGED_WAIT_S = 1.0


@dataclass(slots=True, eq=False)
class _Waiter:
    """A call that waits.

    Attributes:
        permit: what it waits for.
        deadline: until when, in monotonic seconds.
        estimate: what it may cost.
        call_id: the id that it will have.
    """

    permit: asyncio.Future[Permit]
    deadline: float
    estimate: Amount
    call_id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(slots=True)
class _TenantQueue:
    """The waiting calls of one tenant, and the finished ones that are not recorded yet."""

    tenant_id: str
    waiting: deque[_Waiter] = field(default_factory=deque)
    finished: FinishedCalls = field(default_factory=FinishedCalls)
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    drain_task: asyncio.Task[None] | None = None


class RateLimiter:
    """Quotas, budgets and concurrent calls of all tenants at one provider; used from one event loop only.

    Attributes:
        figures: ``provider_calls`` that were permitted, ``quota_waits`` and ``quota_waited_ms`` of those that waited.
    """

    def __init__(
        self, records: Records, provider: str, rules: RateLimitRules, clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._provider = provider
        self._rules = rules
        self._clock = clock
        self._client_id = uuid4().hex
        self._queues: dict[str, _TenantQueue] = {}
        self.figures: Counter[str] = Counter()

    async def acquire(self, tenant_id: str, deadline: float, estimate: Amount = NOTHING) -> Permit:
        """Wait for a permit of a tenant and return it; the call must ``release`` it.

        Args:
            deadline: in monotonic seconds; waiting longer makes no sense.
            estimate: what the call may cost.

        Raises:
            BudgetExceeded: the tenant has nothing left for today.
            Deferred: no permit becomes free before the deadline; says after how many seconds one may.
            StoreUnavailable: the record store cannot be asked.
        """
        queue, future = self._queue(tenant_id), asyncio.get_running_loop().create_future()
        queue.waiting.append(_Waiter(future, deadline, estimate))
        self._wake(queue)
        try:
            permit: Permit = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
                queue.finished.permits.append(future.result())
            raise
        self.figures["provider_calls"] += 1
        return permit

    def release(self, permit: Permit | None, account: Account, cost: Cost) -> None:
        """Report that a call finished and what it cost; without a permit, what was found without a call."""
        queue = self._queue(account.tenant_id)
        queue.finished.add(permit, account, cost)
        self._wake(queue)

    async def flush(self) -> None:
        """Record all finished calls."""
        for queue in [*self._queues.values()]:
            if queue.finished:
                await self._admit(queue, [])

    async def close(self) -> None:
        """Release everything this client holds, so that no other waits for it."""
        await asyncio.to_thread(self._release_client)

    def _release_client(self) -> None:
        with self._records.begin() as connection:
            rate_limits.release_client(connection, self._client_id)

    def _queue(self, tenant_id: str) -> _TenantQueue:
        return self._queues.setdefault(tenant_id, _TenantQueue(tenant_id))

    def _wake(self, queue: _TenantQueue) -> None:
        if queue.waiting:
            queue.wakeup.set()
        if queue.drain_task is None:
            queue.drain_task = asyncio.create_task(self._drain(queue))

    async def _drain(self, queue: _TenantQueue) -> None:
        """Serve a queue until it is empty and all finished calls are recorded."""
        try:
            while _has_waiters(queue) or queue.finished:
                if not queue.waiting:
                    queue.wakeup.clear()
                    await _wait_for_wakeup(queue, GATHER_S)
                waiting = [*queue.waiting]
                admission = await self._admit(queue, waiting)
                for waiter, permit in zip(waiting, admission.permits, strict=False):
                    queue.waiting.remove(waiter)
                    _grant(waiter, permit, queue)
                if admission.decision.over_budget:
                    self._reject_all(queue, self._over_budget(queue, admission))
                elif admission.decision.wait_s:
                    await self._wait_for_quota(queue, admission.decision.wait_s)
        except Exception as error:  # noqa: BLE001 - raised again by each waiting call
            self._reject_all(queue, error)
        finally:
            queue.drain_task = None

    async def _admit(self, queue: _TenantQueue, waiting: Sequence[_Waiter]) -> Admission:
        queue.wakeup.clear()
        finished, queue.finished = queue.finished, FinishedCalls()
        wanted = {waiter.call_id: waiter.estimate for waiter in waiting}
        try:
            return await asyncio.to_thread(self._admit_in_store, queue.tenant_id, wanted, finished)
        except StoreUnavailable:  # perhaps after its commit: granted permits must not count until their lease is over
            queue.finished.merge(finished)
            queue.finished.unacknowledged += wanted
            raise

    def _admit_in_store(self, tenant_id: str, wanted: Mapping[str, Amount], finished: FinishedCalls) -> Admission:
        caller = Caller(tenant_id, self._provider, self._client_id, CALL_LEASE_S)
        with self._records.begin() as connection:
            return rate_limits.admit(connection, caller, self._rules, wanted, finished, self._clock())

    def _over_budget(self, queue: _TenantQueue, admission: Admission) -> BudgetExceeded:
        now = self._clock()
        return BudgetExceeded(self._rules.budget.sentence(queue.tenant_id, admission.spent, now), next_day(now) - now)

    def _reject_all(self, queue: _TenantQueue, error: Exception) -> None:
        while queue.waiting:
            _reject(queue.waiting.popleft(), error)

    async def _wait_for_quota(self, queue: _TenantQueue, wait_s: float) -> None:
        """Reject calls whose deadline comes first, and wait with the others."""
        free_at = time.monotonic() + wait_s
        for waiter in [waiter for waiter in queue.waiting if waiter.deadline < free_at]:
            queue.waiting.remove(waiter)
            retry_after = min(wait_s, MAX_RETRY_AFTER_S)
            _reject(waiter, Deferred("The quota of the tenant is used up for now.", retry_after))
        if not _has_waiters(queue):
            return
        waiting, started = len(queue.waiting), time.monotonic()
        if wait_s >= MIN_LOGGED_WAIT_S:
            seconds = round(wait_s, 1)
            log.info(QUOTA_WAIT, provider=self._provider, tenant=queue.tenant_id, waiting=waiting, seconds=seconds)
        spread = random.random() * 0.1  # noqa: S311 - spreads processes, keeps no secret
        await _wait_for_wakeup(queue, min(wait_s, POLL_S) * (1 + spread))
        waited_ms = int(1_000 * (time.monotonic() - started)) * waiting
        self.figures.update(quota_waits=waiting, quota_waited_ms=waited_ms)


async def _wait_for_wakeup(queue: _TenantQueue, seconds: float) -> None:
    """Wait until a call arrives or finishes, or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await queue.wakeup.wait()
    except TimeoutError:
        return


def _has_waiters(queue: _TenantQueue) -> bool:
    """Drop cancelled calls; return whether any is left."""
    for waiter in [waiter for waiter in queue.waiting if waiter.permit.done()]:
        queue.waiting.remove(waiter)
    return bool(queue.waiting)


def _grant(waiter: _Waiter, permit: Permit, queue: _TenantQueue) -> None:
    if waiter.permit.done():
        queue.finished.permits.append(permit)  # the call was cancelled while its permit was granted
    else:
        waiter.permit.set_result(permit)


def _reject(waiter: _Waiter, error: Exception) -> None:
    if not waiter.permit.done():
        waiter.permit.set_exception(error)
