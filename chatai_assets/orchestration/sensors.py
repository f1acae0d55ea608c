"""Sensors: what is due becomes runs, what was dropped into the inbox folder becomes arrivals."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import dagster as dg

from chatai_assets.domain.costs import Budget
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.operations.entities import propagate_overrides
from chatai_assets.operations.recovery import StalledDetector, fix_clock_skew, reclaim_abandoned, reclaim_stalled
from chatai_assets.orchestration.due_hours import (
    EmptyHours,
    due_now,
    explain,
    outage_summary,
    record_due_probe,
    run_requests,
)
from chatai_assets.orchestration.jobs.dead_letters import dead_letters_sensor
from chatai_assets.orchestration.jobs.erasure import erasure_sensor
from chatai_assets.orchestration.jobs.reindexing import reindex_sensor
from chatai_assets.orchestration.outages import LAST_CHECK, outage_sensor
from chatai_assets.orchestration.projection_monitor import ProjectionMonitor
from chatai_assets.orchestration.resources import Clock
from chatai_assets.orchestration.runs import end_lost_runs
from chatai_assets.pipeline.budgets import resume_deferred
from chatai_assets.pipeline.inbox_folder import FolderReport, take_folder, take_samples
from chatai_assets.pipeline.ingest import Intake
from chatai_assets.services import Services, first_hour, open_services
from chatai_assets.settings import PROJECT, Settings
from chatai_assets.storage.key_values import put_value

DUE_INTERVAL_S = 10
FOLDER_INTERVAL_S = 10
UPKEEP_INTERVAL_S = 10
FOLDER_WAIT_S = 30.0
"""Seconds a tick waits for the files at hand; Dagster gives up on a tick after 60."""
SAMPLES = PROJECT / "chatai_assets" / "samples"

Opened = Callable[[], Services]


def sensors(
    settings: Settings, hours: dg.PartitionsDefinition[str], services: Services | None, clock: Clock
) -> list[dg.SensorDefinition]:
    """Return all sensors; they are on by default.

    Args:
        services: what is already open; without them a sensor opens its own at its first tick and keeps them.
    """

    @cache
    def opened() -> Services:
        return services or open_services(settings)

    lookout, budget = ProjectionMonitor(), settings.costs.budget
    due = (due_sensor(stream, hours, budget, opened, lookout, clock) for stream in STREAMS)
    others = (outage_sensor(opened, clock), dead_letters_sensor(opened), upkeep_sensor(opened, clock))
    return [*due, folder_sensor(settings, opened), erasure_sensor(opened), reindex_sensor(opened), *others]


def due_sensor(
    stream: Stream,
    hours: dg.PartitionsDefinition[str],
    budget: Budget,
    opened: Opened,
    lookout: ProjectionMonitor,
    clock: Clock,
) -> dg.SensorDefinition:
    """Return the sensor that asks for the hours of a stream in which something is due."""
    quiet = EmptyHours(stream, hours.get_partition_keys, clock)

    @dg.sensor(
        name=f"{stream}_due",
        job_name=stream,
        minimum_interval_seconds=DUE_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks the record store in which hours {stream} are due, and requests a run for each hour that "
        "has none. After failed runs an hour is left alone for a while.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        services, now = opened(), clock()
        try:
            records = services.records
            with records.begin() as connection:
                put_value(connection, f"{LAST_CHECK}/{stream}", now)  # a full disk lets itself be read
        except StoreUnavailable as error:
            return dg.SensorResult(skip_reason=f"{error} Nothing is asked for until it works again.")
        paused = resume_deferred(records, stream, budget, now)
        for loss in lookout.check(services):
            context.log.warning(loss)
        interval_s = services.settings.probe_interval_s
        due = due_now(stream, records, context.instance, hours, now, interval_s)
        record_due_probe(due, stream, records, now)
        requests = run_requests(due, now)
        said = (outage_summary(due, stream, records, interval_s), explain(due, stream), paused_summary(paused))
        reason = " ".join(filter(None, said))
        if requests and reason:
            context.log.info(reason)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else reason or f"Nothing of the {stream} is due.",
            asset_events=quiet.events(records, context.instance),
        )

    return sensor


def paused_summary(paused: Mapping[str, int]) -> str:
    """Return in one sentence who waits for the budget of the next day; "" when nobody does."""
    if not paused:
        return ""
    names = ", ".join(sorted(paused)[:3])
    more = f" and {len(paused) - 3} more" if len(paused) > 3 else ""
    return f"{sum(paused.values())} tasks of {names}{more} wait for the budget of the next day."


def upkeep_sensor(opened: Opened, clock: Clock) -> dg.SensorDefinition:
    """Return the sensor that gives back what nobody works on any more, and puts right what wrong clocks wrote."""
    of_runs, of_claims = StalledDetector(), StalledDetector()

    @dg.sensor(
        name="upkeep",
        minimum_interval_seconds=UPKEEP_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process is gone, and gives back what was claimed and is worked on by nobody: of "
        "this machine at once, of other machines when the lease has run out. Starts no run: the other sensors do.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        services = opened()
        records, lease_s = services.records, services.settings.lease_s
        for run_id in end_lost_runs(context.instance, records, of_runs, lease_s):
            context.log.warning("The process of run %s is gone; the run was failed.", run_id)
        fix_clock_skew(records, clock(), first_hour(services))
        reclaim_stalled(records, of_claims, clock(), lease_s)
        propagate_overrides(records)
        return dg.SkipReason(str(reclaim_abandoned(records)))

    return sensor


def folder_sensor(settings: Settings, opened: Opened) -> dg.SensorDefinition:
    """Return the sensor that takes in what lies in the inbox folder, and the bundled samples of a new home."""
    taking = BackgroundIngest()

    @dg.sensor(
        name="inbox_folder",
        minimum_interval_seconds=FOLDER_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Takes in files dropped into {settings.inbox_folder} once they are complete, and moves them to "
        "done/ or rejected/, with a sentence why. Starts no run: the other sensors see what arrived.",
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(taking.poll(lambda: ingest_arrivals(settings, opened()), FOLDER_WAIT_S))

    return sensor


def ingest_arrivals(settings: Settings, services: Services) -> str:
    """Take in samples and files; return in one sentence what was done."""
    intake = Intake(
        records=services.records,
        blobs=services.blobs,
        tenant_id=settings.tenant_id,
        door="folder",
        max_file_bytes=settings.parser.max_file_bytes,
    )
    samples = take_samples(SAMPLES, intake) if settings.samples else None
    report = take_folder(settings.inbox_folder, intake)
    begun = f"Took {samples.posts} sample posts and {samples.documents} sample documents. " if samples else ""
    return begun + folder_summary(report, settings.inbox_folder)


def folder_summary(report: FolderReport, folder: Path) -> str:
    """Return in one sentence what became of the files in the folder."""
    if not (report.taken or report.rejected or report.unfinished):
        return f"Nothing new in {folder}."
    arrivals = report.arrivals
    return (
        f"Took {report.taken} files ({arrivals.posts} posts, {arrivals.documents} documents, {arrivals.duplicates} "
        f"known already), rejected {report.rejected}; {report.unfinished} are still being written, {report.left} wait."
    )


class BackgroundIngest:
    """Takes in files in a thread of its own, so that a large file outlives its tick and is not begun twice."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._begun = 0.0
        self._said = ""
        self._error: BaseException | None = None

    def poll(self, take: Callable[[], str], wait_s: float) -> str:
        """Begin unless it is still going on, wait a while, and return what there is to say.

        Raises:
            ChatAIError: taking failed, now or since the last tick.
        """
        if self._thread is None:
            self._begun = time.monotonic()
            self._thread = threading.Thread(target=self._run, args=(take,), name="inbox folder", daemon=True)
            self._thread.start()
        self._thread.join(wait_s)
        if self._thread.is_alive():
            return f"Still taking in files, for {time.monotonic() - self._begun:.0f} s."
        self._thread = None
        if self._error:
            raise self._error
        return self._said

    def _run(self, take: Callable[[], str]) -> None:
        self._error = None
        try:
            self._said = take()
        except BaseException as error:  # noqa: BLE001 - raised again in the tick's thread
            self._error = error
