"""Waiting for a turn: no call begins that quota, budget and streams do not hold.

Within a process the calls of a tenant begin in the order in which they came; all that wait at one moment are asked for
in one transaction, in which those that ended meanwhile are written down. Processes meet in the record store, and come
back to it at slightly different moments.
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
from chatai_assets.storage import rate_limits as quota
from chatai_assets.storage.engine import Records
from chatai_assets.storage.rate_limits import Admission, Caller, FinishedCalls, Permit

LOOK_AGAIN_S = 1.0
"""A turn may come free earlier than planned: others do not use all that they could."""
LONGEST_REST_S = 3_600.0
GATHER_S = 0.02
"""How long calls that ended wait for one that begins, to be written down together."""
CALL_LEASE_S = 100.0
"""More than any call may take (``http.Deadlines``)."""
WORTH_TELLING_S = 1.0


@dataclass(slots=True, eq=False)
class _Waiter:
    """Whoever waits, until when (``time.monotonic``), what the call may cost, and the id that it will have."""

    turn: asyncio.Future[Permit]
    until: float
    estimate: Amount
    call_id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(slots=True)
class _TenantQueue:
    """The queue of one tenant."""

    tenant_id: str
    waiting: deque[_Waiter] = field(default_factory=deque)
    ended: FinishedCalls = field(default_factory=FinishedCalls)
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    drain_task: asyncio.Task[None] | None = None


class RateLimiter:
    """Quotas, budgets and streams of all tenants at one provider; used from one event loop only.

    Attributes:
        figures: ``provider_calls`` that passed, ``quota_waits`` and ``quota_waited_ms`` of those that had to wait.
    """

    def __init__(
        self, records: Records, provider: str, rules: RateLimitRules, clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._provider = provider
        self._rules = rules
        self._clock = clock
        self._holder = uuid4().hex
        self._gates: dict[str, _TenantQueue] = {}
        self.figures: Counter[str] = Counter()

    async def acquire(self, tenant_id: str, until: float, estimate: Amount = NOTHING) -> Permit:
        """Wait for a turn of a tenant; return it; the call must ``leave`` with it.

        Args:
            until: the moment (``time.monotonic``) after which waiting makes no sense.
            estimate: what the call may cost.

        Raises:
            OverBudget: the tenant has nothing left for today.
            NotAsked: no turn comes free before ``until``; says after how many seconds one may.
            StoreUnavailable: the record store cannot be asked.
        """
        gate, coming = self._gate(tenant_id), asyncio.get_running_loop().create_future()
        gate.waiting.append(_Waiter(coming, until, estimate))
        self._wake(gate)
        try:
            turn: Permit = await coming
        except asyncio.CancelledError:
            if coming.done() and not coming.cancelled() and not coming.exception():
                gate.ended.permits.append(coming.result())
            raise
        self.figures["provider_calls"] += 1
        return turn

    def leave(self, turn: Permit | None, account: Account, cost: Cost) -> None:
        """Tell that a call ended and what it cost, or what was found without a call."""
        gate = self._gate(account.tenant_id)
        gate.ended.add(turn, account, cost)
        self._wake(gate)

    async def settle(self) -> None:
        """Write down all that ended."""
        for gate in [*self._gates.values()]:
            if gate.ended:
                await self._ask(gate, [])

    async def close(self) -> None:
        """Let nothing be waited for that was begun here."""
        await asyncio.to_thread(self._free)

    def _free(self) -> None:
        with self._records.begin() as connection:
            rate_limits.release_client(connection, self._holder)

    def _gate(self, tenant_id: str) -> _TenantQueue:
        return self._gates.setdefault(tenant_id, _TenantQueue(tenant_id))

    def _wake(self, gate: _TenantQueue) -> None:
        if gate.waiting:
            gate.wakeup.set()
        if gate.drain_task is None:
            gate.drain_task = asyncio.create_task(self._drain(gate))

    async def _drain(self, gate: _TenantQueue) -> None:
        """Serve a queue until it is empty and all that ended is written down."""
        try:
            while _has_waiters(gate) or gate.ended:
                if not gate.waiting:
                    gate.wakeup.clear()
                    await _rung(gate, GATHER_S)
                waiting = [*gate.waiting]
                admission = await self._ask(gate, waiting)
                for waiter, turn in zip(waiting, admission.permits, strict=False):
                    gate.waiting.remove(waiter)
                    _admit(waiter, turn, gate)
                if admission.decision.over_budget:
                    self._send_away(gate, self._over_budget(gate, admission))
                elif admission.decision.wait_s:
                    await self._rest(gate, admission.decision.wait_s)
        except Exception as error:  # noqa: BLE001 - raised again by each of those who wait
            self._send_away(gate, error)
        finally:
            gate.drain_task = None

    async def _ask(self, gate: _TenantQueue, waiting: Sequence[_Waiter]) -> Admission:
        gate.wakeup.clear()
        ended, gate.ended = gate.ended, FinishedCalls()
        wanted = {waiter.call_id: waiter.estimate for waiter in waiting}
        try:
            return await asyncio.to_thread(self._take, gate.tenant_id, wanted, ended)
        except StoreUnavailable:  # perhaps after its commit: what it granted must not count until its lease is over
            gate.ended.merge(ended)
            gate.ended.unacknowledged += wanted
            raise

    def _take(self, tenant_id: str, wanted: Mapping[str, Amount], ended: FinishedCalls) -> Admission:
        caller = Caller(tenant_id, self._provider, self._holder, CALL_LEASE_S)
        with self._records.begin() as connection:
            return quota.admit(connection, caller, self._rules, wanted, ended, self._clock())

    def _over_budget(self, gate: _TenantQueue, admission: Admission) -> BudgetExceeded:
        now = self._clock()
        return BudgetExceeded(self._rules.budget.sentence(gate.tenant_id, admission.spent, now), next_day(now) - now)

    def _send_away(self, gate: _TenantQueue, error: Exception) -> None:
        while gate.waiting:
            _refuse(gate.waiting.popleft(), error)

    async def _rest(self, gate: _TenantQueue, wait_s: float) -> None:
        """Send those away who would wait in vain, and wait with the others."""
        free_at = time.monotonic() + wait_s
        for waiter in [waiter for waiter in gate.waiting if waiter.until < free_at]:
            gate.waiting.remove(waiter)
            _refuse(waiter, Deferred("The quota of the tenant is used up for now.", min(wait_s, LONGEST_REST_S)))
        if not _has_waiters(gate):
            return
        waiting, began = len(gate.waiting), time.monotonic()
        if wait_s >= WORTH_TELLING_S:
            seconds = round(wait_s, 1)
            log.info(QUOTA_WAIT, provider=self._provider, tenant=gate.tenant_id, waiting=waiting, seconds=seconds)
        spread = random.random() * 0.1  # noqa: S311 - spreads processes, keeps no secret
        await _rung(gate, min(wait_s, LOOK_AGAIN_S) * (1 + spread))
        waited_ms = int(1_000 * (time.monotonic() - began)) * waiting
        self.figures.update(quota_waits=waiting, quota_waited_ms=waited_ms)


async def _rung(gate: _TenantQueue, seconds: float) -> None:
    """Wait until somebody comes or goes, or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await gate.wakeup.wait()
    except TimeoutError:
        return


def _has_waiters(gate: _TenantQueue) -> bool:
    """Forget those who went away; return whether somebody is left."""
    for waiter in [waiter for waiter in gate.waiting if waiter.turn.done()]:
        gate.waiting.remove(waiter)
    return bool(gate.waiting)


def _admit(waiter: _Waiter, turn: Permit, gate: _TenantQueue) -> None:
    if waiter.turn.done():
        gate.ended.permits.append(turn)  # it went away while its turn came
    else:
        waiter.turn.set_result(turn)


def _refuse(waiter: _Waiter, error: Exception) -> None:
    if not waiter.turn.done():
        waiter.turn.set_exception(error)
