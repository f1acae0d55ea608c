"""Throttle: one request at a time to each host, with a delay after it; shared by all requests of a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MAX_HOSTS = 1_000
"""Hosts above which those without waiting requests are evicted."""


@dataclass(slots=True)
class _Host:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = 0.0
    waiting: int = 0


class HostThrottle:
    """Serializes the requests to each host; used from one event loop."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def slot(self, name: str, delay_s: float) -> AsyncIterator[None]:
        """Wait until a request to a host may start, and block others until the context ends.

        Args:
            name: of the host.
            delay_s: seconds after the request in which no other may start.
        """
        host = self._hosts.setdefault(name, _Host())
        host.waiting += 1
        try:
            async with host.lock:
                await asyncio.sleep(max(0.0, host.free_at - time.monotonic()))
                try:
                    yield
                finally:
                    host.free_at = time.monotonic() + delay_s
        finally:
            host.waiting -= 1
            self._evict()

    def _evict(self) -> None:
        if len(self._hosts) > MAX_HOSTS:
            now = time.monotonic()
            for name in [name for name, host in self._hosts.items() if not host.waiting and host.free_at < now]:
                del self._hosts[name]
