"""Telling people of an outage and of its end: once each, whoever notices."""

from __future__ import annotations

from collections.abc import Mapping

from chatai_assets.adapters.notifier import Announcer
from chatai_assets.domain.circuit_breaker import SETTLED_S, Down, clock_time, first_probe, lasted, name_of
from chatai_assets.operations.outages import capitalized, sentence_of, waiting_for
from chatai_assets.storage import notifications as announcements
from chatai_assets.storage import outages
from chatai_assets.storage.engine import Records

LOST_NOTHING = "Nothing is lost: no attempt was used up and no item was given up because of it."


def tell_outages(records: Records, announcer: Announcer, now: float, longest_s: float) -> list[str]:
    """Tell what people were not told yet; return the titles of what was told now."""
    with records.reading() as connection:
        downs = outages.unsettled(connection)
    told = []
    for down in downs:
        title, body = began(down, waiting_for(records, down), longest_s)
        told += [title] if tell_once(records, announcer, f"outage/{down.id}/began", title, body, now) else []
        if down.closed_at is not None and not now - SETTLED_S < down.closed_at <= now:
            title, body = ended(down)
            name = f"outage/{down.id}/ended"
            told += [title] if tell_once(records, announcer, name, title, body, now) else []
            _settle_if_told(records, down)
    return told


def tell_once(records: Records, announcer: Announcer, name: str, title: str, body: str, now: float) -> bool:
    """Tell something unless it was told already; return whether it was told now.

    Killed between telling and noting it, somebody tells it again: that people hear of it comes first.

    Args:
        name: names the announcement for good, e.g. ``outage/7/began``.
    """
    with records.begin() as connection:
        turn = announcements.take(connection, name, now)
    if turn.state != "mine":
        return False
    left = announcer.announce(title, body, only=turn.only)
    with records.begin() as connection:
        announcements.told(connection, name, left, now)
    return True


def began(down: Down, waits: Mapping[str, int], longest_s: float) -> tuple[str, str]:
    """Return title and text of the announcement of an outage."""
    title = f"chatai_assets: {name_of(down.part)} is down"
    return title, sentence_of(down, waits, first_probe(down, longest_s) if down.closed_at is None else None)


def ended(down: Down) -> tuple[str, str]:
    """Return title and text of the announcement that an outage is over."""
    end = down.closed_at or down.since
    counts = sorted(((stream, count) for stream, count in down.late.items() if count), reverse=True)
    late = " and ".join(f"{count:,} {stream}" for stream, count in counts)
    body = (
        f"{capitalized(name_of(down.part))} works again after {lasted(end - down.since)} "
        f"({clock_time(down.since)} to {clock_time(end)} UTC). {late or 'Nothing'} {'were' if late else 'was'} late; "
        f"what still waits is asked for by itself. {LOST_NOTHING}"
    )
    return f"chatai_assets: {name_of(down.part)} works again", body


def _settle_if_told(records: Records, down: Down) -> None:
    with records.begin() as connection:
        if all(announcements.is_done(connection, f"outage/{down.id}/{what}") for what in ("began", "ended")):
            outages.settle(connection, down.id)
