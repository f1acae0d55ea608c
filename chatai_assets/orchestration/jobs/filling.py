"""The sensor that has an index filled on, and kept up to date, until it serves or is given up."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

from chatai_assets.domain.errors import ChatAIError
from chatai_assets.operations.reindexing import is_to_fill
from chatai_assets.orchestration.runs import OPEN
from chatai_assets.services import Parts

INTERVAL_S = 30
AGAIN_S = 300.0
"""How long after a run the next one is asked for."""


def filling_sensor(opened: Callable[[], Parts]) -> dg.SensorDefinition:
    """Return the sensor that asks for a run where an index is being filled and something is left to do for it."""

    @dg.sensor(
        name="filling",
        job_name="reindex",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a run that goes on where a vector index is being filled.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            if not is_to_fill(opened().records):
                return dg.SkipReason("No index waits to be filled.")
        except ChatAIError as error:
            return dg.SkipReason(str(error))
        latest = context.instance.get_run_records(dg.RunsFilter(job_name="reindex"), limit=1)
        if latest and latest[0].dagster_run.status in OPEN:
            return dg.SkipReason("A run is open.")
        if latest and time.time() - (latest[0].end_time or 0) < AGAIN_S:
            return dg.SkipReason("The next run is asked for five minutes after the last one.")
        return dg.RunRequest()

    return sensor
