"""Erasure in Dagster: the job ``forget``, and the sensor and job that finish pending erasures."""

import time
from collections.abc import Callable

import dagster as dg

from chatai_assets.domain.errors import ChatAIError
from chatai_assets.operations.erasure import Stores, finish, forget, has_pending_erasures
from chatai_assets.orchestration.jobs.launchpad import BEFORE_ALL_OTHERS, OneItem
from chatai_assets.orchestration.runs import OPEN
from chatai_assets.services import Services
from chatai_assets.settings import Settings

INTERVAL_S = 10
AGAIN_S = 300.0
"""Seconds from a failed run until the next one is requested."""
FINISHING = "finish_forgetting"


def erasure_jobs(settings: Settings) -> list[dg.JobDefinition]:
    """Return the job ``forget``, which asks for ``source`` and ``tenant``, and the job that finishes erasures."""
    limits = {"dagster/max_runtime": str(settings.run_deadline_s)}

    @dg.config_mapping
    def one_item(config: OneItem) -> dg.RunConfig:
        return dg.RunConfig(ops={"forget_item": config})

    @dg.job(
        name="forget",
        config=one_item,
        description="Erase one post or document from all stores, for good. A tombstone remains, so that the same "
        "content does not come back. `chatai vacuum` then writes the files anew.",
        executor_def=dg.in_process_executor,
        tags={"dagster/priority": BEFORE_ALL_OTHERS},
        run_tags=limits,
    )
    def forget_job() -> None:
        forget_item()

    @dg.job(
        name=FINISHING,
        description="Have index and graph let go of what was erased from the record store: posts whose deletion was "
        "told, and whatever somebody began to forget or to let expire and did not finish.",
        executor_def=dg.in_process_executor,
        run_tags=limits,
    )
    def finish_job() -> None:
        let_go_of_rest()

    return [forget_job, finish_job]


def erasure_stores(services: Services) -> Stores:
    """Return all stores that may hold data of an item."""
    return Stores(services.records, services.blobs, services.indexes, services.graph)


@dg.op(description="Erases one item from the record store, and has index and graph let go of it.")
def forget_item(context: dg.OpExecutionContext, config: OneItem, parts: dg.ResourceParam[Services]) -> None:
    """Forget one item."""
    source = config.source.strip()
    try:
        forgotten = forget(erasure_stores(parts), source, tenant_id=config.tenant or None)
    except ChatAIError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    parts.forget_answers(forgotten.key.tenant_id)
    erased = {f"erased_{kind}": count for kind, count in forgotten.erased.items()}
    context.add_output_metadata({"source": source, "again": forgotten.again, **erased})
    if forgotten.waiting:
        raise dg.Failure(
            f"Erased, but not from all stores: {forgotten.waiting} It is tried again.", allow_retries=False
        )


@dg.op(description="Has index and graph let go of all that is leaving.")
def let_go_of_rest(context: dg.OpExecutionContext, parts: dg.ResourceParam[Services]) -> None:
    """Finish pending erasures."""
    try:
        erased = finish(erasure_stores(parts))
    except ChatAIError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.add_output_metadata({f"gone_{kind}": count for kind, count in erased.items()})


def erasure_sensor(opened: Callable[[], Services]) -> dg.SensorDefinition:
    """Return the sensor that requests a run while index or graph still hold erased items."""

    @dg.sensor(
        name="forgotten",
        job_name=FINISHING,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a run that has index and graph let go of what was erased from the record store.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            if not has_pending_erasures(opened().records):
                return dg.SkipReason("Nothing is leaving.")
        except ChatAIError as error:
            return dg.SkipReason(str(error))
        latest = context.instance.get_run_records(dg.RunsFilter(job_name=FINISHING), limit=1)
        if latest and latest[0].dagster_run.status in OPEN:
            return dg.SkipReason("A run is open.")
        if latest and _has_just_failed(latest[0]):
            return dg.SkipReason("The last run failed; the next is asked for five minutes after it.")
        return dg.RunRequest()

    return sensor


def _has_just_failed(record: dg.RunRecord) -> bool:
    return record.dagster_run.status == dg.DagsterRunStatus.FAILURE and time.time() - (record.end_time or 0) < AGAIN_S
