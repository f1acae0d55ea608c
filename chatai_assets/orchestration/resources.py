"""Services as Dagster resources: opened when an asset asks for them, closed with the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import dagster as dg

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.operations.recovery import reset_idle_documents
from chatai_assets.orchestration.watchdog.client import watchdog
from chatai_assets.orchestration.watchdog.crash_reporter import report_context
from chatai_assets.orchestration.watchdog.heartbeat import end_heartbeat
from chatai_assets.services import Services, open_services
from chatai_assets.settings import Settings

T = TypeVar("T")

Lazy = Callable[[], T]
"""A service that is opened inside the step that uses it, so that an unavailable store fails that step, with its own
message, and not the start of the run."""

Clock = Callable[[], float]
"""Returns the current time in epoch seconds."""


def resources_of(settings: Settings, services: Services | None, clock: Clock) -> dict[str, Any]:
    """Return the resources of all assets, by name.

    Args:
        services: parts that are already open and stay so; without them each run opens and closes its own.
    """
    return {"settings": settings, "clock": clock, "parts": _services(settings, services)}


def _services(settings: Settings, given: Services | None) -> dg.ResourceDefinition:
    def of_this_run(context: dg.InitResourceContext) -> Iterator[Services]:
        with watchdog_scope(context, settings), nullcontext(given) if given else open_services(settings) as services:
            try:
                yield services
            finally:
                release_run(services, context)

    return dg.ResourceDefinition(of_this_run, description="All stores, models and parsers of one run.")


@contextmanager
def watchdog_scope(context: dg.InitResourceContext, settings: Settings) -> Iterator[None]:
    """Let the watchdog fail this run and clean up after it if its process dies within the block."""
    if context.run is None:
        yield
        return
    crash_context = report_context(context.run.run_id, context.instance, settings.database_url)
    with watchdog().watching(context.run.run_id, crash_context):
        yield


def release_run(services: Services, context: dg.InitResourceContext) -> None:
    """Delete the heartbeat of this run and reset the documents it was processing, however it ends."""
    if context.run is None or "records" not in services.__dict__:
        return
    with suppress(StoreUnavailable):  # the sensor ``upkeep`` does it once the store is available
        end_heartbeat(services.records, context.run.run_id)
        reset_idle_documents(services.records)
