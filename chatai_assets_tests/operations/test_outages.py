"""Breakers that all processes share, and what people are told of them: on the record store as it is."""

from collections.abc import Collection, Sequence

import pytest

from chatai_assets.domain.circuit_breaker import REOPEN_WITHIN_S
from chatai_assets.domain.errors import PaymentRequired, StoreUnavailable
from chatai_assets.operations.notifications import notify_once, notify_outages
from chatai_assets.operations.outages import open_breaker
from chatai_assets.storage import notifications as announcements
from chatai_assets.storage import outages

UNPAID = PaymentRequired("HTTP 402.")
NOW = 1_790_000_000.0


class Town:
    """Hears announcements; its channels fail as they are told to."""

    def __init__(self, *failing: str, killed: bool = False) -> None:
        self.heard: list[str] = []
        self.titles: list[str] = []
        self.asked: list[Collection[str] | None] = []
        self.failing = list(failing)
        self.killed = killed

    def notify(self, title: str, body: str, *, only: Collection[str] | None = None) -> Sequence[str]:
        self.heard.append(f"{title}. {body}")
        self.titles.append(title)
        self.asked.append(only)
        if self.killed:
            raise KeyboardInterrupt
        return self.failing


@pytest.fixture
def records(services):
    return services.records


def fail(records, now=NOW, stage="tag", part="gigachat", error=UNPAID):
    return open_breaker(lambda: records, "posts", stage, part, error, now)


def close(records, now, *places):
    with records.begin() as connection:
        return outages.record_success(connection, "gigachat", places, now, {"posts": 1_234})


def lasting(records):
    with records.reading() as connection:
        return outages.open_outages(connection)


def test_a_part_that_fails_at_many_places_is_one_outage_and_ends_at_the_last(records):
    fail(records)
    fail(records, NOW + 5, stage="embed")
    (down,) = lasting(records)
    assert (down.since, down.affected) == (NOW, ("posts/embed", "posts/tag"))
    assert not close(records, NOW + 60, "posts/tag")
    assert lasting(records)
    assert close(records, NOW + 60, "posts/embed")
    assert not lasting(records)


def test_a_part_that_fails_again_at_once_goes_on_with_the_same_outage(records):
    fail(records)
    close(records, NOW + 60, "posts/tag")
    fail(records, NOW + 60 + REOPEN_WITHIN_S - 1)
    assert [down.since for down in lasting(records)] == [NOW]
    close(records, NOW + 300, "posts/tag")
    fail(records, NOW + 300 + REOPEN_WITHIN_S)
    assert [down.since for down in lasting(records)] == [NOW + 300 + REOPEN_WITHIN_S]


def test_the_record_stores_own_outage_is_not_written_there(records):
    assert not fail(records, error=StoreUnavailable("The record store is gone.", "records"))
    assert not lasting(records)


def test_an_outage_and_its_end_are_told_once_each_whoever_looks(records):
    one, other = Town(), Town()
    fail(records)
    for now in (NOW + 30, NOW + 60):
        notify_outages(records, one, now, 360)
        notify_outages(records, other, now, 360)
    close(records, NOW + 10_920, "posts/tag")
    for now in (NOW + 10_930, NOW + 10_920 + REOPEN_WITHIN_S, NOW + 20_000):
        notify_outages(records, other, now, 360)
        notify_outages(records, one, now, 360)
    (began,), (ended,) = one.heard, other.heard
    assert "GigaChat is down since" in began
    assert "HTTP 402" in began
    assert "works again after 3 h 2 min" in ended
    assert "1,234 posts were late" in ended


def test_whoever_is_killed_between_telling_and_noting_has_it_told_again_later(records):
    with pytest.raises(KeyboardInterrupt):
        notify_once(records, Town(killed=True), "outage/1/began", "Down", "It is.", NOW)
    town = Town()
    assert not notify_once(records, town, "outage/1/began", "Down", "It is.", NOW + 1)
    assert notify_once(records, town, "outage/1/began", "Down", "It is.", NOW + announcements.HELD_S)
    assert not notify_once(records, town, "outage/1/began", "Down", "It is.", NOW + 1_000)
    assert len(town.heard) == 1


def test_only_a_channel_that_did_not_take_it_is_told_again_and_not_for_ever(records):
    town = Town("2:tgram")
    for tick in range(20):
        notify_once(records, town, "outage/1/began", "Down", "It is.", NOW + 30 * tick)
    assert town.asked == [None] + [["2:tgram"]] * (announcements.TRIES - 1)
