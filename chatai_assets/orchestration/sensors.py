"""Sensors: request runs for due work, ingest the inbox folder, and recover abandoned work."""

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
"""Seconds a tick waits for ingestion; Dagster aborts a tick after 60."""
SAMPLES = PROJECT / "chatai_assets" / "samples"

Opened = Callable[[], Services]


def sensors(
    settings: Settings, hours: dg.PartitionsDefinition[str], services: Services | None, clock: Clock
) -> list[dg.SensorDefinition]:
    """Return all sensors; they are on by default.

    Args:
        services: already open; without them a sensor opens its own at its first tick and keeps them open.
    """

    @cache
    def opened() -> Services:
        return services or open_services(settings)

    monitor, budget = ProjectionMonitor(), settings.costs.budget
    due = (due_sensor(stream, hours, budget, opened, monitor, clock) for stream in STREAMS)
    others = (outage_sensor(opened, clock), dead_letters_sensor(opened), upkeep_sensor(opened, clock))
    return [*due, folder_sensor(settings, opened), erasure_sensor(opened), reindex_sensor(opened), *others]


def due_sensor(
    stream: Stream,
    hours: dg.PartitionsDefinition[str],
    budget: Budget,
    opened: Opened,
    monitor: ProjectionMonitor,
    clock: Clock,
) -> dg.SensorDefinition:
    """Return the sensor that requests runs for the hours of a stream with due work."""
    empty_hours = EmptyHours(stream, hours.get_partition_keys, clock)

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
                put_value(connection, f"{LAST_CHECK}/{stream}", now)  # a full disk can still be read
        except StoreUnavailable as error:
            return dg.SensorResult(skip_reason=f"{error} Nothing is asked for until it works again.")
        paused = resume_deferred(records, stream, budget, now)
        for loss in monitor.check(services):
            context.log.warning(loss)
        interval_s = services.settings.probe_interval_s
        due = due_now(stream, records, context.instance, hours, now, interval_s)
        record_due_probe(due, stream, records, now)
        requests = run_requests(due, now)
        notes = (outage_summary(due, stream, records, interval_s), explain(due, stream), paused_summary(paused))
        reason = " ".join(filter(None, notes))
        if requests and reason:
            context.log.info(reason)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else reason or f"Nothing of the {stream} is due.",
            asset_events=empty_hours.events(records, context.instance),
        )

    return sensor


def paused_summary(paused: Mapping[str, int]) -> str:
    """Return in one sentence which tenants wait for the budget of the next day; "" if none does."""
    if not paused:
        return ""
    names = ", ".join(sorted(paused)[:3])
    more = f" and {len(paused) - 3} more" if len(paused) > 3 else ""
    return f"{sum(paused.values())} tasks of {names}{more} wait for the budget of the next day."


def upkeep_sensor(opened: Opened, clock: Clock) -> dg.SensorDefinition:
    """Return the sensor that reclaims abandoned work and corrects what wrong clocks wrote."""
    stalled_runs, stalled_claims = StalledDetector(), StalledDetector()

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
        for run_id in end_lost_runs(context.instance, records, stalled_runs, lease_s):
            context.log.warning("The process of run %s is gone; the run was failed.", run_id)
        fix_clock_skew(records, clock(), first_hour(services))
        reclaim_stalled(records, stalled_claims, clock(), lease_s)
        propagate_overrides(records)
        return dg.SkipReason(str(reclaim_abandoned(records)))

    return sensor


def folder_sensor(settings: Settings, opened: Opened) -> dg.SensorDefinition:
    """Return the sensor that ingests the files in the inbox folder, and the bundled samples of a new home."""
    ingest = BackgroundIngest()

    @dg.sensor(
        name="inbox_folder",
        minimum_interval_seconds=FOLDER_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Takes in files dropped into {settings.inbox_folder} once they are complete, and moves them to "
        "done/ or rejected/, with a sentence why. Starts no run: the other sensors see what arrived.",
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(ingest.poll(lambda: ingest_arrivals(settings, opened()), FOLDER_WAIT_S))

    return sensor


def ingest_arrivals(settings: Settings, services: Services) -> str:
    """Ingest samples and files; return in one sentence what was done."""
    intake = Intake(
        records=services.records,
        blobs=services.blobs,
        tenant_id=settings.tenant_id,
        door="folder",
        max_file_bytes=settings.parser.max_file_bytes,
    )
    samples = take_samples(SAMPLES, intake) if settings.samples else None
    report = take_folder(settings.inbox_folder, intake)
    prefix = f"Took {samples.posts} sample posts and {samples.documents} sample documents. " if samples else ""
    return prefix + folder_summary(report, settings.inbox_folder)


def folder_summary(report: FolderReport, folder: Path) -> str:
    """Return in one sentence how the files in the folder were processed."""
    if not (report.taken or report.rejected or report.unfinished):
        return f"Nothing new in {folder}."
    arrivals = report.arrivals
    return (
        f"Took {report.taken} files ({arrivals.posts} posts, {arrivals.documents} documents, {arrivals.duplicates} "
        f"known already), rejected {report.rejected}; {report.unfinished} are still being written, {report.left} wait."
    )


class BackgroundIngest:
    """Ingests files in a background thread, so that a large file may take longer than a tick and is read only once."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._started_at = 0.0
        self._result = ""
        self._error: BaseException | None = None

    def poll(self, take: Callable[[], str], wait_s: float) -> str:
        """Start ingestion unless it is still running, wait for it, and return its result or that it is running.

        Raises:
            ChatAIError: ingestion failed, now or since the last tick.
        """
        if self._thread is None:
            self._started_at = time.monotonic()
            self._thread = threading.Thread(target=self._run, args=(take,), name="inbox folder", daemon=True)
            self._thread.start()
        self._thread.join(wait_s)
        if self._thread.is_alive():
            return f"Still taking in files, for {time.monotonic() - self._started_at:.0f} s."
        self._thread = None
        if self._error:
            raise self._error
        return self._result

    def _run(self, take: Callable[[], str]) -> None:
        self._error = None
        try:
            self._result = take()
        except BaseException as error:  # noqa: BLE001 - raised again in the tick's thread
            self._error = error
