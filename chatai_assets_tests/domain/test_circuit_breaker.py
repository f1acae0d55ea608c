from dataclasses import replace

import pytest

from chatai_assets.domain.circuit_breaker import (
    OpenBreaker,
    Probes,
    breaker_state,
    format_duration,
    next_probe,
    open_breakers_by_stage,
)

USUAL_S = 360.0
DOWN = OpenBreaker(1, "gigachat", since=1_000.0, reason="HTTP 503.", affected=("posts/tag", "posts/embed"))


def probes_within(seconds: float) -> int:
    """Return how many probes a stream asks for while a part is down, one after the other."""
    down, asked = DOWN, 0
    while (at := next_probe(down, "posts", USUAL_S)) < DOWN.since + seconds:
        asked += 1
        down = replace(down, probes={"posts": Probes(asked, at)})
    return asked


@pytest.mark.parametrize(
    ("now", "state"), [(1_000.0, "open"), (1_059.0, "open"), (1_060.0, "half-open"), (9_999.0, "half-open")]
)
def test_a_breaker_is_half_open_from_the_time_of_its_next_probe_on(now, state):
    assert breaker_state(DOWN, "posts", now, USUAL_S) == state


def test_a_breaker_that_opened_or_was_tried_in_the_future_is_tried_now():
    assert breaker_state(replace(DOWN, since=8_200.0), "posts", 1_000.0, USUAL_S) == "half-open"
    asked = replace(DOWN, probes={"posts": Probes(4, 8_200.0)})
    assert breaker_state(asked, "posts", 1_000.0, USUAL_S) == "half-open"


def test_it_is_closed_for_a_stream_that_nothing_failed_in_and_after_its_end():
    assert breaker_state(DOWN, "documents", 9_999.0, USUAL_S) == "closed"
    assert breaker_state(replace(DOWN, closed_at=2_000.0), "posts", 9_999.0, USUAL_S) == "closed"
    assert breaker_state(None, "posts", 9_999.0, USUAL_S) == "closed"


def test_the_first_probes_come_sooner_and_three_hours_of_them_are_less_than_forty():
    assert [probes_within(seconds) for seconds in (60, 61, 181, 421, 781)] == [0, 1, 2, 3, 4]
    assert probes_within(3 * 3_600) < 40


def test_each_stream_has_its_own_probes():
    asked = replace(DOWN, affected=("posts/tag", "documents/tag"), probes={"posts": Probes(1, 1_060.0)})
    assert next_probe(asked, "posts", USUAL_S) == 1_060.0 + 120.0
    assert next_probe(asked, "documents", USUAL_S) == 1_060.0


def test_only_the_stages_that_failed_wait():
    assert open_breakers_by_stage([DOWN], "posts") == {"tag": DOWN, "embed": DOWN}
    assert (
        open_breakers_by_stage([DOWN], "documents")
        == open_breakers_by_stage([replace(DOWN, closed_at=1.0)], "posts")
        == {}
    )


def test_spans_are_told_as_people_say_them():
    assert [format_duration(seconds) for seconds in (5, 250, 10_920)] == ["1 min", "4 min", "3 h 2 min"]
