"""The jobs of the two streams, and running one hour in this process without a daemon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.orchestration.assets.streams import asset_keys
from chatai_assets.orchestration.runs import STREAM_TAG
from chatai_assets.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
DESCRIPTIONS: dict[Stream, str] = {
    "posts": "All six assets of the posts that arrived in one hour: does what is not done, at most a run's share.",
    "documents": "All six assets of the documents that arrived in one hour: does what is not done, at most a run's "
    "share.",
}


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Result of a run.

    Attributes:
        failure: one sentence that says why the run failed; None for a successful run.
    """

    run_id: str
    failure: str | None


def stream_jobs(settings: Settings) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the jobs ``posts`` and ``documents``."""
    return [
        dg.define_asset_job(
            stream,
            selection=dg.AssetSelection.assets(*asset_keys(stream).values()),
            description=DESCRIPTIONS[stream],
            tags={STREAM_TAG: stream, "dagster/max_runtime": str(settings.run_deadline_s)},
            executor_def=dg.in_process_executor,
        )
        for stream in STREAMS
    ]


def run_hour_here(
    defs: dg.Definitions,
    stream: Stream,
    hour: str,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str] | None = None,
) -> RunOutcome:
    """Run one hour of a stream in this process; a failed run is returned, not raised.

    Args:
        defs: built with the services to use.
        hour: a partition key.
        instance: where the run is recorded.
        tags: tags of the run; without any it counts as triggered by hand.
    """
    job = defs.resolve_job_def(stream)
    result = job.execute_in_process(
        partition_key=hour, instance=instance, raise_on_error=False, run_config=QUIET, tags=dict(tags or {})
    )
    return RunOutcome(result.run_id, None if result.success else _failure_sentence(result))


def _failure_sentence(result: dg.ExecuteInProcessResult) -> str:
    """Return why the first failed step failed."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            cause = data.error.cause or data.error if data.error else None
            return f"The step {event.step_key} failed with {cause.cls_name if cause else 'no word of the cause'}."
    return "The run failed before its first step; its log in the Dagster UI says why."
