"""One request at a time to each host, with a pause after it; shared by all that a process reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MAX_HOSTS = 1_000
"""Hosts after which those that nobody waits for are forgotten."""


@dataclass(slots=True)
class _Host:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = 0.0
    waiting: int = 0


class HostThrottle:
    """Who may ask which host now; used from one event loop."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def slot(self, name: str, gap_s: float) -> AsyncIterator[None]:
        """Wait until a host may be asked and keep others from it until the block ends.

        Args:
            gap_s: seconds for which the host is left in peace afterwards.
        """
        host = self._hosts.setdefault(name, _Host())
        host.waiting += 1
        try:
            async with host.lock:
                await asyncio.sleep(max(0.0, host.free_at - time.monotonic()))
                try:
                    yield
                finally:
                    host.free_at = time.monotonic() + gap_s
        finally:
            host.waiting -= 1
            self._forget()

    def _forget(self) -> None:
        if len(self._hosts) > MAX_HOSTS:
            now = time.monotonic()
            for name in [name for name, host in self._hosts.items() if not host.waiting and host.free_at < now]:
                del self._hosts[name]
