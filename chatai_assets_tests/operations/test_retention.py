"""What is kept for a while goes after it, and what somebody needs stays."""

from typing import Any

import pytest
from sqlalchemy import insert, update

from chatai_assets.domain.costs import DAY_S, day_of
from chatai_assets.domain.ids import ItemKey
from chatai_assets.operations.retention import apply_retention
from chatai_assets.settings import read_settings
from chatai_assets.storage import costs, retention, schema
from chatai_assets.storage.llm_responses import link_results, store_results
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    contents,
    differences,
    ingest_posts,
    message,
    process_all,
    rows,
)

AFTER = NOON + 100 * DAY_S
POST = ItemKey("default", f"tg/{CHAT}/1")
KEPT = read_settings({}).retention
NOTHING_ELSE = KEPT.replace(stats_s=None, costs_s=None, letters_s=None, answers_s=None, tombstones_s=None)


@pytest.fixture
def full(services):
    """A home with a few posts, done at noon."""
    ingest_posts(services, [message(1, "Вчера Иван видел Лондон."), message(2, "Вчера Мария видела Байкал.")])
    process_all(services, now=NOON)
    return services


def sums(services):
    found: dict[tuple[str, str, str], tuple[int, float]] = {}
    for row in rows(services, schema.stage_stats):
        place = (row["stream"], row["stage"], row["hour"])
        before = found.get(place, (0, 0.0))
        found[place] = (before[0] + row["done"], before[1] + row["seconds"])
    return found


def test_what_batches_did_is_summed_up_by_hour_once(full):
    ingest_posts(full, [message(1, "Вчера Иван видел Париж.", edited=1_700_000_100)])
    process_all(full, now=NOON)
    before = sums(full)
    assert len(rows(full, schema.stage_stats)) == 12
    assert apply_retention(full.records, KEPT, clock=lambda: NOON + 29 * DAY_S)["stage_stats"] == 0
    assert apply_retention(full.records, KEPT, clock=lambda: AFTER)["stage_stats"] == 6
    assert apply_retention(full.records, KEPT, clock=lambda: AFTER)["stage_stats"] == 0
    assert len(rows(full, schema.stage_stats)) == 6
    after = sums(full)
    assert after.keys() == before.keys()
    assert all(after[place] == pytest.approx(before[place]) for place in before)


def test_costs_of_old_hours_become_those_of_their_day(full):
    row = {"tenant_id": "t", "day": day_of(NOON), "provider": "p", "stream": "posts", "stage": "tag"}
    figures = dict.fromkeys(costs.FIGURES, 3)
    with full.records.begin() as connection:
        connection.execute(
            insert(schema.provider_costs), [{**row, **figures, "hour": f"{day_of(NOON)}-0{hour}:00"} for hour in (1, 2)]
        )
    with full.records.reading() as connection:
        before = costs.costs_since(connection, day_of(NOON))
    assert apply_retention(full.records, KEPT, clock=lambda: AFTER)["costs"] == 2
    assert [(row["hour"], row["calls"]) for row in rows(full, schema.provider_costs)] == [("", 6)]
    with full.records.reading() as connection:
        assert costs.costs_since(connection, day_of(NOON)) == before


def test_resolved_dead_letters_go_and_open_ones_stay(full):
    letter: dict[str, Any] = {
        "tenant_id": "t",
        "queue_name": "posts",
        "job_name": "tag",
        "job_data": {},
        "source_key": "tg/1/1",
    }
    letter |= {"error_class": "X", "error_message": "x", "attempts": 1, "first_failed_at": NOON, "created_at": NOON}
    made = [("open", NOON, False), ("old", NOON, True), ("new", AFTER, True)]
    with full.records.begin() as connection:
        connection.execute(
            insert(schema.worker_dlq),
            [{**letter, "job_id": name, "last_failed_at": at, "resolved": over} for name, at, over in made],
        )
    assert apply_retention(full.records, KEPT, clock=lambda: AFTER)["dead_letters"] == 1
    assert [row["job_id"] for row in rows(full, schema.worker_dlq)] == ["open", "new"]


def test_answers_that_no_item_uses_go_when_they_are_old(full, monkeypatch):
    monkeypatch.setattr(retention, "ROWS", 2)
    about = {"tenant_id": POST[0], "provider": "p", "answer": {}}
    made = [("used", NOON), ("a", NOON), ("b", NOON), ("c", NOON), ("new", AFTER)]
    with full.records.begin() as connection:
        store_results(connection, [{**about, "fingerprint": name, "written_at": at} for name, at in made])
        link_results(connection, [(POST, "used")])
    assert apply_retention(full.records, KEPT, clock=lambda: AFTER)["answers"] == 3
    assert sorted(row["fingerprint"] for row in rows(full, schema.provider_results)) == ["new", "used"]


def test_vectors_of_words_that_an_edit_took_away_go(full, monkeypatch):
    monkeypatch.setattr(retention, "ROWS", 2)
    ingest_posts(full, [message(1, "Вчера Иван видел Париж.", edited=1_700_000_100)])
    process_all(full, now=NOON)
    before = contents(full)
    assert len(rows(full, schema.vectors)) == 3
    assert apply_retention(full.records, NOTHING_ELSE, clock=lambda: NOON)["vectors"] == 1
    used = {row["text_hash"] for row in rows(full, schema.chunks)}
    assert {row["text_hash"] for row in rows(full, schema.vectors)} == used
    assert differences(before, contents(full)) == []


def test_pages_pulses_and_tombstones_go_in_their_time(full):
    page = {"tenant_id": "t", "url": "https://example.org/"}
    stone = {"tenant_id": "t", "stream": "posts", "hour": "h", "seq": 1, "revised_at": 1, "content_hash": "c"}
    stone |= {"condemned_at": NOON, "erased_at": NOON}
    with full.records.begin() as connection:
        made = [{**page, "url_hash": name, "checked_at": at} for name, at in (("old", NOON), ("new", AFTER))]
        connection.execute(insert(schema.pages), made)
        pulses = [{"name": "alive old", "value": NOON}, {"name": "alive new", "value": AFTER}]
        connection.execute(insert(schema.checkpoints), pulses)
        reasons = [
            {**stone, "source_key": f"tg/1/{n}", "reason": why} for n, why in enumerate(("expired", "forgotten"))
        ]
        connection.execute(insert(schema.tombstones), reasons)
    gone = apply_retention(full.records, KEPT, clock=lambda: AFTER)
    assert (gone["pages"], gone["pulses"], gone["tombstones"]) == (1, 1, 0)
    assert apply_retention(full.records, KEPT, clock=lambda: NOON + 366 * DAY_S)["tombstones"] == 1
    assert [row["reason"] for row in rows(full, schema.tombstones)] == ["forgotten"]


def test_a_retention_out_of_time_begins_nothing(full):
    with full.records.begin() as connection:
        connection.execute(update(schema.stage_stats).values(at=0.0))
    assert apply_retention(full.records, KEPT, budget_s=0.0, clock=lambda: AFTER).total() == 0
