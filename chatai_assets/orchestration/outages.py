"""The sensor that notifies people of outages, also of the record store, which holds the state of all others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from chatai_assets.adapters.notifier import Notifier
from chatai_assets.domain.circuit_breaker import RECORDS, display_name, format_duration, format_time
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.operations.notifications import LOST_NOTHING, notify_outages
from chatai_assets.operations.outages import close_idle, count_waiting, outage_sentence
from chatai_assets.orchestration.resources import Clock
from chatai_assets.services import Services
from chatai_assets.storage import notifications as announcements
from chatai_assets.storage import outages
from chatai_assets.storage.engine import Records
from chatai_assets.storage.key_values import put_value

INTERVAL_S = 30
NOTIFY_AFTER_S = 45.0
"""People are notified after this time: a record store that is busy for one tick is not down."""
LAST_CHECK = "looked_at"


@dataclass(frozen=True, slots=True)
class StoreDown:
    """An outage of the record store. It is stored in the sensor's cursor by Dagster, and in the sensor's process.

    Attributes:
        since: epoch seconds.
        is_notified: whether people were notified.
        failed_channels: channels to which the notification could not be delivered.
        attempts: how often delivery was tried.
    """

    since: float
    is_notified: bool = False
    failed_channels: tuple[str, ...] = ()
    attempts: int = 0

    def to_cursor(self) -> str:
        """Return it as JSON; the keys are stored, and must not change."""
        left = list(self.failed_channels)
        return json.dumps({"since": self.since, "told": self.is_notified, "left": left, "tries": self.attempts})


def outage_sensor(opened: Callable[[], Services], clock: Clock) -> dg.SensorDefinition:
    """Return the sensor that notifies people of outages and of their end."""
    monitor = StoreMonitor()

    @dg.sensor(
        name="outages",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Says what is down, in its skip reason, and announces it and its end once each: in the log, and on "
        "the channels that CHATAI_ANNOUNCE names. Starts no run.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        services, now = opened(), clock()
        announcer = services.announcer
        message, cursor = monitor.check(lambda: services.records, announcer, context.cursor, now)
        context.update_cursor(cursor)
        if cursor:
            return dg.SkipReason(message)
        titles = notify_outages(services.records, announcer, now, services.settings.probe_interval_s)
        return dg.SkipReason(" ".join([message, *(f"Told: {title}." for title in titles)]))

    return sensor


class StoreMonitor:
    """Checks whether the record store can be written, and notifies people when it cannot and when it can again.

    Its state is stored in the sensor's cursor. The copy in memory prevents repeated notifications where the cursor
    cannot be stored either, as on a full disk.
    """

    def __init__(self) -> None:
        self._down: StoreDown | None = None

    def check(
        self, opened: Callable[[], Records], announcer: Notifier, cursor: str | None, now: float
    ) -> tuple[str, str]:
        """Return a message for the skip reason, and the new cursor: "" while the store works."""
        down = self._down or _parse_cursor(cursor)
        try:
            with opened().begin() as connection:
                put_value(connection, LAST_CHECK, now)
            close_idle(opened(), now)
        except StoreUnavailable as error:
            self._down = _notify_down(down or StoreDown(now), str(error), announcer, now)
            return f"{error} Down since {format_time(self._down.since)} UTC.", self._down.to_cursor()
        if down and down.is_notified:
            _notify_up(down, announcer, now)
        self._down = None
        return _describe_outages(opened()), ""


def _parse_cursor(cursor: str | None) -> StoreDown | None:
    """Return what ``StoreDown.to_cursor`` wrote; None for an empty cursor."""
    if not cursor:
        return None
    stored = json.loads(cursor)
    return StoreDown(stored["since"], stored["told"], tuple(stored["left"]), stored["tries"])


def _notify_down(down: StoreDown, reason: str, announcer: Notifier, now: float) -> StoreDown:
    """Notify people once the outage is certain; retry the channels that failed a limited number of times."""
    is_delivered = down.is_notified and not down.failed_channels
    if now - down.since < NOTIFY_AFTER_S or down.attempts >= announcements.TRIES or is_delivered:
        return down
    body = (
        f"The record store is down since {format_time(down.since)} UTC: {reason.rstrip('.')}. Nobody works until it is "
        f"back, and how many items wait cannot be told; nothing is lost, and no run is asked for meanwhile."
    )
    only = down.failed_channels if down.is_notified else None
    failed = announcer.notify(f"chatai_assets: {display_name(RECORDS)} is down", body, only=only)
    return StoreDown(down.since, is_notified=True, failed_channels=tuple(failed), attempts=down.attempts + 1)


def _notify_up(down: StoreDown, announcer: Notifier, now: float) -> None:
    body = (
        f"The record store works again after {format_duration(now - down.since)} ({format_time(down.since)} to "
        f"{format_time(now)} UTC). Whatever was due in this time was late and is asked for by itself. {LOST_NOTHING}"
    )
    announcer.notify(f"chatai_assets: {display_name(RECORDS)} works again", body)


def _describe_outages(records: Records) -> str:
    """Return one sentence per open outage."""
    with records.reading() as connection:
        downs = outages.open_outages(connection)
    sentences = [outage_sentence(down, count_waiting(records, down)) for down in downs]
    return " ".join(sentences) or "Nothing is down."
