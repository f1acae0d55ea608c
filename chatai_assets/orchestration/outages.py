"""The sensor that tells people what is down, also when it is the record store, where everything else is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

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
"""A record store that is busy for one tick is not down."""
LAST_CHECK = "looked_at"


@dataclass(frozen=True, slots=True)
class StoreDown:
    """An outage of the record store; kept in the sensor's cursor, which is Dagster's, and in the sensor's process.

    Attributes:
        since: epoch seconds.
        told: whether it was announced.
        left: channels that did not take it.
        tries: how often they were told.
    """

    since: float
    told: bool = False
    left: tuple[str, ...] = ()
    tries: int = 0


def outage_sensor(opened: Callable[[], Services], clock: Clock) -> dg.SensorDefinition:
    """Return the sensor that announces outages and their end."""
    watch = StoreMonitor()

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
        said, cursor = watch.check(lambda: services.records, announcer, context.cursor, now)
        context.update_cursor(cursor)
        if cursor:
            return dg.SkipReason(said)
        told = notify_outages(services.records, announcer, now, services.settings.probe_interval_s)
        return dg.SkipReason(" ".join([said, *(f"Told: {title}." for title in told)]))

    return sensor


class StoreMonitor:
    """Looks whether the record store can be written, and tells when it cannot and when it can again.

    What it knows outlives this process in the cursor. Where the cursor cannot be kept either, as on a full disk,
    this process still knows that it told.
    """

    def __init__(self) -> None:
        self._down: StoreDown | None = None

    def check(
        self, opened: Callable[[], Records], announcer: Notifier, cursor: str | None, now: float
    ) -> tuple[str, str]:
        """Return what to say, and the new cursor: "" while the store works."""
        down = self._down or _parse_cursor(cursor)
        try:
            with opened().begin() as connection:
                put_value(connection, LAST_CHECK, now)
            close_idle(opened(), now)
        except StoreUnavailable as error:
            self._down = _notify_down(down or StoreDown(now), str(error), announcer, now)
            return f"{error} Down since {format_time(self._down.since)} UTC.", json.dumps(asdict(self._down))
        if down and down.told:
            _notify_up(down, announcer, now)
        self._down = None
        return _describe_outages(opened()), ""


def _parse_cursor(cursor: str | None) -> StoreDown | None:
    if not cursor:
        return None
    kept = json.loads(cursor)
    return StoreDown(kept["since"], kept["told"], tuple(kept["left"]), kept["tries"])


def _notify_down(down: StoreDown, reason: str, announcer: Notifier, now: float) -> StoreDown:
    """Announce that the record store is down, once it is sure, and to channels that did not take it some more times."""
    if now - down.since < NOTIFY_AFTER_S or down.tries >= announcements.TRIES or (down.told and not down.left):
        return down
    body = (
        f"The record store is down since {format_time(down.since)} UTC: {reason.rstrip('.')}. Nobody works until it is "
        f"back, and how many items wait cannot be told; nothing is lost, and no run is asked for meanwhile."
    )
    only = down.left if down.told else None
    left = announcer.notify(f"chatai_assets: {display_name(RECORDS)} is down", body, only=only)
    return replace(down, told=True, left=tuple(left), tries=down.tries + 1)


def _notify_up(down: StoreDown, announcer: Notifier, now: float) -> None:
    body = (
        f"The record store works again after {format_duration(now - down.since)} ({format_time(down.since)} to "
        f"{format_time(now)} UTC). Whatever was due in this time was late and is asked for by itself. {LOST_NOTHING}"
    )
    announcer.notify(f"chatai_assets: {display_name(RECORDS)} works again", body)


def _describe_outages(records: Records) -> str:
    """Return what is down now, in a sentence each."""
    with records.reading() as connection:
        downs = outages.open_outages(connection)
    said = [f"{outage_sentence(down, count_waiting(records, down))}" for down in downs]
    return " ".join(said) or "Nothing is down."
