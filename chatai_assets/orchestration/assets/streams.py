"""The assets of both streams, made from the table of stages: ``posts/parsed`` to ``documents/linked``."""

from functools import partial
from typing import Any

import dagster as dg

from chatai_assets.domain.ids import Stream
from chatai_assets.domain.stages import ITEM_STAGES, STAGES, Stage, StageSpec, stages_of_asset
from chatai_assets.orchestration.metadata import preview_schema, sharing_stage_metadata
from chatai_assets.orchestration.resources import Clock
from chatai_assets.orchestration.stage_runs import stage_run
from chatai_assets.pipeline.runner import run_stage
from chatai_assets.services import Services
from chatai_assets.settings import Settings

OWNERS = ["team:chatai"]


def asset_key(stream: Stream, stage: Stage) -> dg.AssetKey:
    """Return the asset of a stage: ``posts/parsed``, ``documents/linked``."""
    return dg.AssetKey([stream, STAGES[stage].asset])


def asset_keys(stream: Stream) -> dict[Stage, dg.AssetKey]:
    """Return the six assets of a stream, in the order in which they usually run."""
    return {stage: asset_key(stream, stage) for stage in ITEM_STAGES}


def stream_assets(stream: Stream, settings: Settings, hours: dg.PartitionsDefinition[str]) -> list[dg.AssetsDefinition]:
    """Return the assets of a stream, one for each stage that every item passes."""
    return [_stage_asset(stream, STAGES[stage], settings, hours) for stage in ITEM_STAGES]


def _stage_asset(
    stream: Stream, spec: StageSpec, settings: Settings, hours: dg.PartitionsDefinition[str]
) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_key(stream, spec.name),
        deps=[asset_key(stream, before) for before in spec.upstream],
        partitions_def=hours,
        group_name=stream,
        description=spec.descriptions[stream],
        owners=OWNERS,
        kinds={"python", _kind(spec, settings)},
        tags=settings.stage_tags(spec.name),
        metadata={"dagster/column_schema": preview_schema(spec)},
        op_tags={"dagster/priority": str(spec.priority), **settings.deadline_tags(spec.name)},
        pool=spec.pool,
        code_version=spec.code_version,
    )
    def stage_asset(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        clock: dg.ResourceParam[Clock],
        parts: dg.ResourceParam[Services],
    ) -> dg.MaterializeResult[None]:
        """Do one hour of the stage, and of the stages that share its asset."""
        metadata: dict[str, Any] = {}
        for stage in stages_of_asset(spec.name, stream):
            with stage_run(context, stage, settings, lambda: parts.records, clock) as run:
                run.do(partial(run_stage, stage, services=parts))
            metadata |= run.metadata if stage == spec.name else sharing_stage_metadata(run.report)
        return dg.MaterializeResult(metadata=metadata)

    return stage_asset


def _kind(spec: StageSpec, settings: Settings) -> str:
    if spec.writes == "records":
        return "sqlite" if settings.database_url.startswith("sqlite") else "postgres"
    return {"vectors": "qdrant", "graph": "ladybug"}[spec.writes]
