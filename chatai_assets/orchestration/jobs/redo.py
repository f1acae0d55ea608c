"""The job ``redo``: one post or document, done again from a stage on, alone."""

from functools import partial

import dagster as dg
from pydantic import Field

from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.stages import STAGES, Stage, downstream_of
from chatai_assets.operations.outages import dependency_of
from chatai_assets.operations.status import redo
from chatai_assets.orchestration.assets.streams import asset_key
from chatai_assets.orchestration.jobs.launchpad import BEFORE_ALL_OTHERS, OneItem
from chatai_assets.orchestration.metadata import materialization_metadata
from chatai_assets.orchestration.stage_runs import StageRun, scope_of, watched
from chatai_assets.pipeline.engine import StageReport
from chatai_assets.pipeline.runner import is_enabled, run_stage
from chatai_assets.services import Services
from chatai_assets.settings import Settings


class Redo(OneItem):
    """What to do again, and from where on."""

    stage: Stage = Field(default="parse", description="First stage to do again; what depends on it follows.")


def redo_job(settings: Settings) -> dg.JobDefinition:
    """Return the job; its launchpad asks for ``source`` and offers ``stage`` and ``tenant``."""

    @dg.config_mapping
    def one_item(config: Redo) -> dg.RunConfig:
        return dg.RunConfig(ops={"redo_item": config})

    @dg.job(
        name="redo",
        config=one_item,
        description="Do one post or document again, from a stage on, and nothing else.",
        executor_def=dg.in_process_executor,
        tags={"dagster/priority": BEFORE_ALL_OTHERS},
        run_tags={"dagster/max_runtime": str(settings.run_deadline_s)},
    )
    def job() -> None:
        redo_item()

    return job


@dg.op(description="Makes one item pending from a stage on, and works on that item alone.")
def redo_item(
    context: dg.OpExecutionContext,
    config: Redo,
    settings: dg.ResourceParam[Settings],
    parts: dg.ResourceParam[Services],
) -> None:
    """Do one item again."""
    source = config.source.strip()
    try:
        stream, key, hour = redo(parts.records, source, tenant_id=config.tenant or None, stage=config.stage)
    except ChatAIError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    for stage in (config.stage, *downstream_of(config.stage)):
        if stream not in STAGES[stage].streams or not is_enabled(stage, parts):
            continue
        scope = scope_of(settings, stream, stage, hour, context.run_id, only=key)
        run = StageRun(stage, scope, lambda: parts.records, dependency_of(stage, settings.models))
        with watched(context, run, settings):
            run.do(partial(run_stage, stage, services=parts))
        _observe(context, run.report, source)


def _observe(context: dg.OpExecutionContext, report: StageReport, source: str) -> None:
    """Show on the asset that one item of the hour was done again."""
    outcome = _outcome(report)
    context.log.info("%s: stage %r %s.", source, report.stage, outcome)
    metadata = {"source": source, "outcome": outcome, **materialization_metadata(report, context.run_id, ())}
    context.log_event(
        dg.AssetObservation(asset_key(report.stream, report.stage), partition=report.hour, metadata=metadata)
    )


def _outcome(report: StageReport) -> str:
    if report.done:
        return "done, nothing changed" if report.unchanged else "done"
    if report.failed:
        return f"failed for good: {', '.join(report.failed)}"
    if report.retried:
        return f"will be tried again: {', '.join(report.retried)}"
    return "had nothing to do: another run has the item, or an earlier stage did not finish"
