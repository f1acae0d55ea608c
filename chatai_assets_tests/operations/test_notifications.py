"""People are told of dead letters: all of them, and never one by one."""

import pytest

from chatai_assets.operations.notifications import SUMMARY_INTERVAL_S, notify_dead_letters
from chatai_assets.storage import dead_letters
from chatai_assets_tests.support.pipeline import NOON


class Channel:
    """Keeps what it is told; takes nothing while it is closed."""

    def __init__(self):
        self.told = []
        self.closed = False

    def notify(self, title, body, *, only=None):
        if self.closed:
            return ["1:json"]
        assert only in (None, ["1:json"])
        self.told.append((title, body))
        return []


@pytest.fixture
def channel():
    return Channel()


def letter(number, error_class="corrupt", stage="parse"):
    return {
        "tenant_id": "t",
        "queue_name": "documents",
        "job_name": stage,
        "job_id": f"doc/{number}@1",
        "job_data": {"run_id": "run", "hour": "", "seq": 1},
        "source_key": f"doc/{number}",
        "error_class": error_class,
        "error_message": "No.",
        "error_stack": None,
        "attempts": 1,
        "input_fingerprint": "0",
        "code_version": "0",
        "url": None,
    }


def bury(services, *letters, now=NOON):
    with services.records.begin() as connection:
        dead_letters.record(connection, letters, now=now)


def test_many_letters_are_one_message_that_counts_them_and_names_a_few(services, channel):
    bury(services, *(letter(number) for number in range(400)))
    bury(services, *(letter(number, "ProviderBusy", "embed") for number in range(400, 420)), now=NOON + 1)
    notify_dead_letters(services.records, channel, NOON + 2)
    ((_, body),) = channel.told
    assert [title for title, _ in channel.told] == ["chatai_assets: 420 new dead letters"]
    assert "400 corrupt at parse of documents, 20 ProviderBusy at embed of documents" in body
    assert body.count("doc/") == 5
    assert "doc/419" in body


def test_what_was_told_is_not_told_again(services, channel):
    bury(services, letter(1))
    assert notify_dead_letters(services.records, channel, NOON)
    assert notify_dead_letters(services.records, channel, NOON + SUMMARY_INTERVAL_S) is None
    assert len(channel.told) == 1


def test_what_was_told_by_a_clock_that_was_ahead_silences_nobody(services, channel):
    bury(services, letter(1))
    assert notify_dead_letters(services.records, channel, NOON + 7_200)
    bury(services, letter(2))
    assert notify_dead_letters(services.records, channel, NOON)


def test_an_import_that_goes_on_for_an_hour_is_told_of_in_a_few_messages(services, channel):
    for minute in range(60):
        bury(services, *(letter(100 * minute + number) for number in range(5)), now=NOON + 60 * minute)
        notify_dead_letters(services.records, channel, NOON + 60 * minute)
    notify_dead_letters(services.records, channel, NOON + 3_600)
    assert [title.split()[1] for title, _ in channel.told] == ["5", "50", "50", "50", "50", "50", "45"]


def test_what_fails_again_after_a_replay_is_told_again(services, channel):
    bury(services, letter(1))
    notify_dead_letters(services.records, channel, NOON)
    bury(services, letter(1), now=NOON + 10)
    assert notify_dead_letters(services.records, channel, NOON + SUMMARY_INTERVAL_S)


def test_a_channel_that_was_closed_is_told_later(services, channel):
    bury(services, letter(1))
    channel.closed = True
    notify_dead_letters(services.records, channel, NOON)
    channel.closed = False
    notify_dead_letters(services.records, channel, NOON + 60)
    notify_dead_letters(services.records, channel, NOON + 120)
    assert len(channel.told) == 1


def test_who_is_killed_between_telling_and_noting_it_tells_it_again(services, channel):
    bury(services, letter(1))

    def die(*_arguments):
        raise SystemExit

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dead_letters, "mark_notified", die)
        with pytest.raises(SystemExit):
            notify_dead_letters(services.records, channel, NOON)
    assert notify_dead_letters(services.records, channel, NOON + 1)
    assert len(channel.told) == 2
