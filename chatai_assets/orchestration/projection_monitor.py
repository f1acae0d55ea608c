"""Looking whether a projection was lost: often at embedded ones, seldom at servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.pipeline.projections.recovery import ProjectionProbe, rebuild
from chatai_assets.services import Services

SERVER_INTERVAL_S = 60.0


class ProjectionMonitor:
    """Has projections written again that were lost, though nothing else may be due.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._server_at = -SERVER_INTERVAL_S

    def check(self, services: Services) -> list[str]:
        """Return one sentence per projection that is written again from now on; a store that is down says nothing."""
        now, servers = self._clock(), {"vectors": services.settings.qdrant, "graph": services.settings.neo4j}
        skipped = {name for name, server in servers.items() if server and now < self._server_at + SERVER_INTERVAL_S}
        if any(servers.values()) and not skipped:
            self._server_at = now
        told = [
            _rebuild_if_lost(services, projected)
            for projected in services.projections
            if projected.name.partition("/")[0] not in skipped
        ]
        return list(filter(None, told))


def _rebuild_if_lost(services: Services, projected: ProjectionProbe) -> str:
    with suppress(StoreUnavailable):  # whoever writes to it will say so
        if items := rebuild(services.records, projected):
            return f"The {projected.name} were lost or replaced: {items} items are written again."
    return ""
