"""The short forms of the scenarios of single bad items; the long ones are commands."""

import pytest

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets_tests.scenarios import failure_classes, hostile
from chatai_assets_tests.scenarios import poison_items as poison
from chatai_assets_tests.support.pipeline import CHAT


@pytest.mark.parametrize("stores", ["embedded", "servers"])
def test_an_item_that_kills_its_process_is_given_up_and_its_neighbours_are_finished(tmp_path, stores, request):
    servers = request.getfixturevalue("servers") if stores == "servers" else {}
    outcome = poison.run(tmp_path, 200, servers=servers)
    assert outcome.letters == [(f"tg/{CHAT}/101", "tag", "ProcessKilled")]
    assert outcome.states == {"done": 199, "failed": 1}
    assert outcome.deaths == 5
    assert outcome.loose_ends == []


def test_hostile_files_end_as_they_must_and_their_neighbours_are_read(tmp_path):
    limits = ParserLimits(wall_s=4, cpu_s=4, memory_bytes=250 * 2**20)
    outcome = hostile.run(tmp_path, 40, endless=1, limits=limits)
    assert outcome.wrong == {}
    assert outcome.slowest_s < 4 + 5
    assert outcome.counts["read"] == 24


def test_eight_classes_of_bad_items_replayed_twice_stay_what_they_are(tmp_path):
    outcome = failure_classes.run(tmp_path, 12)
    assert outcome.rounds == [dict.fromkeys(failure_classes.EXPECTED, 12)] * 3
    assert (outcome.new_after_replay, outcome.incomplete, outcome.of_outages, outcome.twice) == (0, [], 0, [])
    assert outcome.open_at_last.keys() == {"corrupt", "encrypted", "empty_file", "unsupported_type"}
