"""Builds everything that Dagster shows and runs."""

from __future__ import annotations

import time

import dagster as dg

from chatai_assets.domain.ids import STREAMS
from chatai_assets.observability import configure_logging
from chatai_assets.orchestration.assets.maintenance import audited, upkeep_assets
from chatai_assets.orchestration.assets.reindexing import reindexed
from chatai_assets.orchestration.assets.streams import stream_assets
from chatai_assets.orchestration.checks import checks
from chatai_assets.orchestration.jobs.dead_letters import replay_job
from chatai_assets.orchestration.jobs.erasure import erasure_jobs
from chatai_assets.orchestration.jobs.redo import redo_job
from chatai_assets.orchestration.jobs.streams import stream_jobs
from chatai_assets.orchestration.partitions import arrival_hours
from chatai_assets.orchestration.resources import Clock, resources_of
from chatai_assets.orchestration.schedules import schedules, upkeep_jobs
from chatai_assets.orchestration.sensors import sensors
from chatai_assets.services import Services, first_hour, open_services
from chatai_assets.settings import Settings


def build_defs(
    settings: Settings,
    *,
    services: Services | None = None,
    clock: Clock = time.time,
    log_level: str | None = None,
) -> dg.Definitions:
    """Return the definitions.

    Args:
        settings: read once, by the caller.
        services: already open, and left open, for runs in the caller's process; without them each run opens what it
            uses and closes it.
        clock: current time in epoch seconds, for sensors and stages.
        log_level: least level of log lines; that of the settings by default.
    """
    hours = arrival_hours(first_hour(services) if services else _first_hour_of_home(settings))
    configure_logging(log_level or settings.log_level)
    return dg.Definitions(
        assets=[
            *(asset for stream in STREAMS for asset in stream_assets(stream, settings, hours)),
            *upkeep_assets(),
            audited,
            reindexed,
        ],
        asset_checks=checks(),
        jobs=[
            *stream_jobs(settings),
            redo_job(settings),
            replay_job(settings),
            *erasure_jobs(settings),
            *upkeep_jobs(settings),
        ],
        schedules=schedules(),
        sensors=sensors(settings, hours, services, clock),
        resources=resources_of(settings, services, clock),
        executor=dg.in_process_executor,
    )


def _first_hour_of_home(settings: Settings) -> str:
    """Read the only value in a store that definitions need."""
    with open_services(settings) as services:
        return first_hour(services)
