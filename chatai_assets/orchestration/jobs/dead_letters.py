"""Dead letters in Dagster: the sensor that notifies people of new ones, and the job that replays them."""

import time
from collections.abc import Callable
from typing import get_args

import dagster as dg
from pydantic import Field

from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.ids import Stream
from chatai_assets.domain.stages import Stage
from chatai_assets.operations.dead_letters import replay
from chatai_assets.operations.notifications import notify_dead_letters
from chatai_assets.orchestration.jobs.launchpad import BEFORE_ALL_OTHERS
from chatai_assets.services import Services
from chatai_assets.settings import Settings
from chatai_assets.storage.dead_letters import DeadLetterFilter

INTERVAL_S = 60


def dead_letters_sensor(opened: Callable[[], Services], clock: Callable[[], float] = time.time) -> dg.SensorDefinition:
    """Return the sensor that notifies people of new dead letters."""

    @dg.sensor(
        name="dead_letters",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of items that were given up, in the log and wherever CHATAI_ANNOUNCE says: how many, of "
        "which kinds, and the newest few. At most one summary in ten minutes. Starts no run.",
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
        services = opened()
        try:
            message = notify_dead_letters(services.records, services.announcer, clock())
        except ChatAIError as error:
            return dg.SkipReason(f"{error} What is new is told of once it works again.")
        return dg.SkipReason(message or "There is nothing to tell of.")

    return sensor


class ReplayConfig(dg.Config):
    """Which dead letters to replay: the ids, or a class, or all."""

    ids: list[int] = Field(default=[], description="Ids of `chatai dead-letters list`.")
    error_class: str = Field(default="", description="All open ones of this class, e.g. ProviderBusy or timeout.")
    everything: bool = Field(default=False, description="All open ones.")
    stream: str = Field(default="", description="Of those only posts, or only documents.")
    stage: str = Field(default="", description="Of those only the ones of this stage: parse, tag, enrich, ...")
    tenant: str = Field(default="", description="Of those only the ones of this organization.")


def replay_job(settings: Settings) -> dg.JobDefinition:
    """Return the job; its launchpad asks for ids or a class."""

    @dg.config_mapping
    def letters(config: ReplayConfig) -> dg.RunConfig:
        return dg.RunConfig(ops={"replay_letters": config})

    @dg.job(
        name="replay_dead_letters",
        config=letters,
        description="Make the items of dead letters pending again. It works on none of them: the sensors ask for the "
        "runs that do. Doing it twice changes nothing.",
        executor_def=dg.in_process_executor,
        tags={"dagster/priority": BEFORE_ALL_OTHERS},
        run_tags={"dagster/max_runtime": str(settings.run_deadline_s)},
    )
    def job() -> None:
        replay_letters()

    return job


@dg.op(description="Makes the items of the chosen dead letters pending again.")
def replay_letters(context: dg.OpExecutionContext, config: ReplayConfig, parts: dg.ResourceParam[Services]) -> None:
    """Replay dead letters."""
    try:
        report = replay(parts.records, build_filter(config))
    except ChatAIError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.add_output_metadata(
        {
            "replayed": report.replayed,
            "waiting_already": report.waiting,
            "closed": report.closed,
            "replayed_by_class": report.by_class,
        }
    )
    context.log.info("%d items are pending again; the sensors ask for their runs.", report.replayed)


def build_filter(config: ReplayConfig) -> DeadLetterFilter:
    """Return the filter for a configuration of the launchpad.

    Raises:
        dagster.Failure: nothing is selected, or there is no stream or stage of that name.
    """
    if not (config.ids or config.error_class or config.everything):
        raise dg.Failure("Fill in ids or error_class, or set everything.", allow_retries=False)
    stream = next((stream for stream in get_args(Stream) if stream == config.stream), None)
    stage = next((stage for stage in get_args(Stage) if stage == config.stage), None)
    if (stream or "") != config.stream or (stage or "") != config.stage:
        raise dg.Failure(f"There is no stream or stage {config.stream or config.stage!r}.", allow_retries=False)
    return DeadLetterFilter(
        ids=config.ids,
        error_class=config.error_class or None,
        tenant_id=config.tenant or None,
        stream=stream,
        stage=stage,
    )
