"""Notifies people of outages, of their end and of new dead letters: once each, from any process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chatai_assets.adapters.notifier import Notifier
from chatai_assets.domain.circuit_breaker import (
    REOPEN_WITHIN_S,
    OpenBreaker,
    display_name,
    first_probe,
    format_duration,
    format_time,
)
from chatai_assets.operations.outages import capitalized, count_waiting, outage_sentence
from chatai_assets.storage import dead_letters, outages
from chatai_assets.storage import notifications as announcements
from chatai_assets.storage.dead_letters import DeadLetterRow
from chatai_assets.storage.engine import Records
from chatai_assets.storage.key_values import get_value, put_value

LOST_NOTHING = "Nothing is lost: no attempt was used up and no item was given up because of it."


def notify_outages(records: Records, announcer: Notifier, now: float, longest_s: float) -> list[str]:
    """Send the pending notifications of outages; return the titles of those that were sent now."""
    with records.reading() as connection:
        downs = outages.list_not_notified(connection)
    sent = []
    for down in downs:
        title, body = outage_notification(down, count_waiting(records, down), longest_s)
        sent += [title] if notify_once(records, announcer, f"outage/{down.id}/began", title, body, now) else []
        if down.closed_at is not None and not now - REOPEN_WITHIN_S < down.closed_at <= now:
            title, body = recovery_notification(down)
            name = f"outage/{down.id}/ended"
            sent += [title] if notify_once(records, announcer, name, title, body, now) else []
            _close_if_notified(records, down)
    return sent


def notify_once(records: Records, announcer: Notifier, name: str, title: str, body: str, now: float) -> bool:
    """Send a notification unless it was sent already; return whether it was sent now.

    It is recorded after it was sent, so a crash in between sends it twice rather than never.

    Args:
        name: identifies the notification, e.g. ``outage/7/began``.
    """
    with records.begin() as connection:
        claim = announcements.claim(connection, name, now)
    if claim.state != "mine":
        return False
    failed = announcer.notify(title, body, only=claim.only)
    with records.begin() as connection:
        announcements.mark_notified(connection, name, failed, now)
    return True


def outage_notification(down: OpenBreaker, waits: Mapping[str, int], longest_s: float) -> tuple[str, str]:
    """Return title and text of the notification of an outage."""
    title = f"chatai_assets: {display_name(down.dependency)} is down"
    return title, outage_sentence(down, waits, first_probe(down, longest_s) if down.closed_at is None else None)


def recovery_notification(down: OpenBreaker) -> tuple[str, str]:
    """Return title and text of the notification that an outage is over."""
    end = down.closed_at or down.since
    counts = sorted(((stream, count) for stream, count in down.delayed.items() if count), reverse=True)
    late = " and ".join(f"{count:,} {stream}" for stream, count in counts)
    body = (
        f"{capitalized(display_name(down.dependency))} works again after {format_duration(end - down.since)} "
        f"({format_time(down.since)} to {format_time(end)} UTC). {late or 'Nothing'} {'were' if late else 'was'} late; "
        f"what still waits is asked for by itself. {LOST_NOTHING}"
    )
    return f"chatai_assets: {display_name(down.dependency)} works again", body


def _close_if_notified(records: Records, down: OpenBreaker) -> None:
    with records.begin() as connection:
        if all(announcements.is_done(connection, f"outage/{down.id}/{what}") for what in ("began", "ended")):
            outages.mark_notified(connection, down.id)


LAST_SUMMARY = "dead letters told"
SUMMARY_INTERVAL_S = 600
"""Between two summaries, so that an import of ten thousand bad files causes only a few."""
RETRY_CHANNELS_S = 3_600
"""How long delivery to a failed channel is retried."""
MAX_SUMMARIZED = 10_000
GROUPS_SHOWN = 10
NEWEST_SHOWN = 5


def notify_dead_letters(records: Records, announcer: Notifier, now: float) -> str | None:
    """Send a summary of the dead letters that people were not notified of yet; return its text, or None.

    It is recorded after it was sent, so a crash in between sends it twice rather than never.

    Args:
        now: epoch seconds.
    """
    with records.reading() as connection:
        last: dict[str, Any] = get_value(connection, LAST_SUMMARY) or {"at": 0.0, "left": []}
    if last["left"] and now < last["at"] + RETRY_CHANNELS_S:
        last["left"] = list(announcer.notify(last["title"], last["body"], only=last["left"]))
        with records.begin() as connection:
            put_value(connection, LAST_SUMMARY, last)
    if last["at"] <= now < last["at"] + SUMMARY_INTERVAL_S:  # a time in the future is from a clock that was ahead
        return None
    with records.reading() as connection:
        fresh = dead_letters.list_not_notified(connection, MAX_SUMMARIZED)
    if not fresh:
        return None
    title, body = dead_letter_summary(fresh)
    left = announcer.notify(title, body)
    with records.begin() as connection:
        dead_letters.mark_notified(connection, fresh)
        put_value(connection, LAST_SUMMARY, {"at": now, "left": list(left), "title": title, "body": body})
    return body


def dead_letter_summary(letters: Sequence[DeadLetterRow]) -> tuple[str, str]:
    """Return title and text for dead letters, the newest first: counts by class and stage, and a few source keys."""
    groups = Counter((letter["error_class"], letter["stage"], letter["stream"]) for letter in letters)
    lines = [
        f"{count:,} {name} at {stage} of {stream}" for (name, stage, stream), count in groups.most_common(GROUPS_SHOWN)
    ]
    if len(groups) > GROUPS_SHOWN:
        lines.append(f"{len(groups) - GROUPS_SHOWN} further kinds")
    newest = ", ".join(dict.fromkeys(letter["source"] for letter in letters[:NEWEST_SHOWN]))
    given_up = "item was" if len(letters) == 1 else "items were"
    return f"chatai_assets: {len(letters):,} new dead letters", (
        f"{len(letters):,} {given_up} given up: {', '.join(lines)}. The newest: {newest}. `chatai dead-letters list` "
        "shows them; once the cause is mended, `chatai dead-letters replay --class CLASS` does them again."
    )
