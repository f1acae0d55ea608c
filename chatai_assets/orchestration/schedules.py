"""Maintenance jobs and their schedules."""

from __future__ import annotations

import dagster as dg

from chatai_assets.orchestration.runs import OPEN, UPKEEP_JOBS
from chatai_assets.settings import Settings

CRON = {"expire": "7 * * * *", "retain": "37 3 * * *", "audit": "17 4 * * *"}
"""In UTC. Not at the full hour, when the first run of a new hour starts."""
DESCRIPTIONS = {
    "expire": "Removes the posts and documents whose time is over from all stores.",
    "audit": "Compares vector index and graph with the record store.",
    "reindex": "Fills a vector index by another model, compares it and lets it serve; or goes on with that.",
    "retain": "Rolls up or drops what is kept for a while only: figures, costs, dead letters, answers, old runs.",
}


def upkeep_jobs(settings: Settings) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the maintenance jobs, one per asset."""
    return [
        dg.define_asset_job(
            job,
            selection=dg.AssetSelection.assets(key),
            description=DESCRIPTIONS[job],
            tags={"dagster/max_runtime": str(settings.run_deadline_s)},
            executor_def=dg.in_process_executor,
        )
        for job, key in UPKEEP_JOBS.items()
    ]


def schedules() -> list[dg.ScheduleDefinition]:
    """Return the maintenance schedules; they are on by default."""
    return [upkeep_schedule(job) for job in CRON]


def upkeep_schedule(job: str) -> dg.ScheduleDefinition:
    """Return the schedule of a job; it requests no run while one is open."""

    @dg.schedule(
        name=f"{job}_on_time",
        job_name=job,
        cron_schedule=CRON[job],
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{DESCRIPTIONS[job]} A run that finds nothing to do takes a second.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        # Two at once would do no harm, but the second would repeat the work of the first.
        if context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=list(OPEN)), limit=1):
            return dg.SkipReason("The last run is still going on.")
        return dg.RunRequest()

    return schedule
