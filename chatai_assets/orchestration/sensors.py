"""Sensors: what is due becomes runs, what was dropped into the inbox folder becomes arrivals."""

import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import dagster as dg

from chatai_assets.assembly import Parts, open_parts
from chatai_assets.domain.keys import STREAMS, Stream
from chatai_assets.orchestration.due import QuietHours, due_now, explanation, run_requests
from chatai_assets.orchestration.runs import end_lost_runs
from chatai_assets.settings import PROJECT, Settings
from chatai_assets.stages.batches import free_lost_claims
from chatai_assets.stages.folder import FolderReport, take_folder, take_samples
from chatai_assets.stages.ingest import Intake

DUE_INTERVAL_S = 10
FOLDER_INTERVAL_S = 10
FOLDER_WAIT_S = 30.0
"""Seconds a tick waits for the files at hand; Dagster gives up on a tick after 60."""
SAMPLES = PROJECT / "chatai_assets" / "samples"

Opened = Callable[[], Parts]


def sensors(settings: Settings, hours: dg.PartitionsDefinition[str], parts: Parts | None) -> list[dg.SensorDefinition]:
    """Return all sensors; they are on by default.

    Args:
        parts: what is already open; without them a sensor opens its own at its first tick and keeps them.
    """

    @cache
    def opened() -> Parts:
        return parts or open_parts(settings)

    return [*(due_sensor(stream, hours, opened) for stream in STREAMS), folder_sensor(settings, opened)]


def due_sensor(stream: Stream, hours: dg.PartitionsDefinition[str], opened: Opened) -> dg.SensorDefinition:
    """Return the sensor that asks for the hours of a stream in which something is due."""
    quiet = QuietHours(stream, hours.get_partition_keys)

    @dg.sensor(
        name=f"{stream}_due",
        job_name=stream,
        minimum_interval_seconds=DUE_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks the record store in which hours {stream} are due, and requests a run for each hour that "
        "has none. After failed runs an hour is left alone for a while.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        records, now = opened().records, time.time()
        for run_id in end_lost_runs(context.instance):
            context.log.warning("The process of run %s is gone; the run was failed.", run_id)
        free_lost_claims(records)
        due = due_now(stream, records, context.instance, hours, now)
        requests = run_requests(due, now)
        reason = explanation(due, stream)
        if requests and reason:
            context.log.info(reason)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else reason or f"Nothing of the {stream} is due.",
            asset_events=quiet.events(records, context.instance),
        )

    return sensor


def folder_sensor(settings: Settings, opened: Opened) -> dg.SensorDefinition:
    """Return the sensor that takes in what lies in the inbox folder, and the bundled samples of a new home."""
    taking = Taking()

    @dg.sensor(
        name="inbox_folder",
        minimum_interval_seconds=FOLDER_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Takes in files dropped into {settings.inbox_folder} once they are complete, and moves them to "
        "done/ or rejected/, with a sentence why. Starts no run: the other sensors see what arrived.",
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(taking.tick(lambda: take_arrivals(settings, opened()), FOLDER_WAIT_S))

    return sensor


def take_arrivals(settings: Settings, parts: Parts) -> str:
    """Take in samples and files; return in one sentence what was done."""
    intake = Intake(
        records=parts.records,
        blobs=parts.blobs,
        tenant_id=settings.tenant_id,
        door="folder",
        max_file_bytes=settings.parser.max_file_bytes,
    )
    samples = take_samples(SAMPLES, intake) if settings.samples else None
    report = take_folder(settings.inbox_folder, intake)
    begun = f"Took {samples.posts} sample posts and {samples.documents} sample documents. " if samples else ""
    return begun + told(report, settings.inbox_folder)


def told(report: FolderReport, folder: Path) -> str:
    """Return in one sentence what became of the files in the folder."""
    if not (report.taken or report.rejected or report.unfinished):
        return f"Nothing new in {folder}."
    arrivals = report.arrivals
    return (
        f"Took {report.taken} files ({arrivals.posts} posts, {arrivals.documents} documents, {arrivals.duplicates} "
        f"known already), rejected {report.rejected}; {report.unfinished} are still being written, {report.left} wait."
    )


class Taking:
    """Takes in files in a thread of its own, so that a large file outlives its tick and is not begun twice."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._begun = 0.0
        self._said = ""
        self._error: BaseException | None = None

    def tick(self, take: Callable[[], str], wait_s: float) -> str:
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
