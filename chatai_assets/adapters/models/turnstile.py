"""Waiting for a turn: no call passes that the quota of its tenant does not hold.

Within a process calls pass in the order in which they came; all that wait at one moment are asked for in one
transaction. Processes meet in the record store, and come back to it at slightly different moments.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from chatai_assets.adapters.records import quota
from chatai_assets.adapters.records.store import Records
from chatai_assets.domain.errors import NotAsked, StoreUnavailable
from chatai_assets.domain.quotas import Grant, Limit
from chatai_assets.observability import QUOTA_WAIT, log

LOOK_AGAIN_S = 1.0
"""A turn may come free earlier than planned: others do not use all that they could."""
LONGEST_REST_S = 3_600.0

Waiter = tuple[asyncio.Future[None], float]
"""Whoever waits, and until when (``time.monotonic``)."""


class Turnstile:
    """The quotas of all tenants at one provider; used from one event loop only.

    Attributes:
        figures: ``provider_calls`` that passed, ``quota_waits`` and ``quota_waited_ms`` of those that had to wait.
    """

    def __init__(
        self, records: Records, provider: str, limits: Sequence[Limit], clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._provider = provider
        self._limits = tuple(limits)
        self._clock = clock
        self._queues: dict[str, deque[Waiter]] = {}
        self._porters: dict[str, asyncio.Task[None]] = {}
        self.figures: Counter[str] = Counter()

    async def enter(self, tenant_id: str, until: float) -> None:
        """Wait for a turn of a tenant.

        Args:
            until: the moment (``time.monotonic``) after which waiting makes no sense.

        Raises:
            NotAsked: no turn comes free before ``until``; says after how many seconds one may.
            StoreUnavailable: the record store cannot be asked.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(tenant_id, deque())
        queue.append((turn, until))
        if tenant_id not in self._porters:
            self._porters[tenant_id] = asyncio.create_task(self._let_in(tenant_id, queue))
        await turn
        self.figures["provider_calls"] += 1

    async def _let_in(self, tenant_id: str, queue: deque[Waiter]) -> None:
        """Serve a queue until it is empty."""
        try:
            while _waiting(queue):
                granted = await asyncio.to_thread(self._take, tenant_id, len(queue))
                for _ in range(min(granted.calls, len(queue))):
                    _admit(queue.popleft()[0])
                if granted.wait_s:
                    await self._rest(tenant_id, queue, granted.wait_s)
        except StoreUnavailable as error:
            while queue:
                _refuse(queue.popleft()[0], error)
        finally:
            del self._porters[tenant_id]

    def _take(self, tenant_id: str, wanted: int) -> Grant:
        with self._records.begin() as connection:
            return quota.take(connection, tenant_id, self._provider, self._limits, wanted, self._clock())

    async def _rest(self, tenant_id: str, queue: deque[Waiter], wait_s: float) -> None:
        """Send those away who would wait in vain, and wait with the others."""
        free_at = time.monotonic() + wait_s
        for turn, until in [waiter for waiter in queue if waiter[1] < free_at]:
            queue.remove((turn, until))
            _refuse(turn, NotAsked("The quota of the tenant is used up for now.", min(wait_s, LONGEST_REST_S)))
        if not _waiting(queue):
            return
        waiting = len(queue)
        log.info(QUOTA_WAIT, provider=self._provider, tenant=tenant_id, waiting=waiting, seconds=round(wait_s, 1))
        pause = min(wait_s, LOOK_AGAIN_S) + random.random() * 0.1  # noqa: S311 - spreads processes, keeps no secret
        await asyncio.sleep(pause)
        self.figures.update(quota_waits=waiting, quota_waited_ms=int(1_000 * pause) * waiting)


def _waiting(queue: deque[Waiter]) -> bool:
    """Forget those who went away; return whether somebody is left."""
    while queue and queue[0][0].done():
        queue.popleft()
    return bool(queue)


def _admit(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _refuse(turn: asyncio.Future[None], error: NotAsked | StoreUnavailable) -> None:
    if not turn.done():
        turn.set_exception(error)
