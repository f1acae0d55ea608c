"""Detects lost projections: checks embedded ones at each call, servers at most once a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.pipeline.projections.recovery import ProjectionProbe, rebuild
from chatai_assets.services import Services

SERVER_INTERVAL_S = 60.0


class ProjectionMonitor:
    """Starts the rebuild of projections that were lost or replaced, also when no other work is due.

    Args:
        clock: monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._server_at = -SERVER_INTERVAL_S

    def check(self, services: Services) -> list[str]:
        """Return one sentence per projection whose rebuild was started; stores that are down are skipped."""
        now, servers = self._clock(), {"vectors": services.settings.qdrant, "graph": services.settings.neo4j}
        skipped = {name for name, server in servers.items() if server and now < self._server_at + SERVER_INTERVAL_S}
        if any(servers.values()) and not skipped:
            self._server_at = now
        sentences = [
            _rebuild_if_lost(services, probe)
            for probe in services.projections
            if probe.name.partition("/")[0] not in skipped
        ]
        return list(filter(None, sentences))


def _rebuild_if_lost(services: Services, probe: ProjectionProbe) -> str:
    with suppress(StoreUnavailable):  # the stage that writes to it reports the outage
        if items := rebuild(services.records, probe):
            return f"The {probe.name} were lost or replaced: {items} items are written again."
    return ""
