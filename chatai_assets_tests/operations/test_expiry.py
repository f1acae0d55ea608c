"""Items whose time is over leave all stores; what they share with others, and whoever is edited, stays."""

import pytest
from sqlalchemy import func, select, update

from chatai_assets.domain.ids import ItemKey, hour_of
from chatai_assets.operations.erasure import Stores, erase_from_projections
from chatai_assets.operations.expiry import expire
from chatai_assets.storage import schema, tombstones
from chatai_assets.storage import work_queue as work
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    contents,
    differences,
    find_inconsistencies,
    ingest_posts,
    message,
    process_all,
    read_status,
    rows,
)

DAY_S = 86_400
LATER = NOON + 20 * DAY_S
AFTER = NOON + 31 * DAY_S
SAME = "Вчера Мария видела Байкал."
OLD, TWIN, YOUNG = (f"tg/{CHAT}/{number}" for number in (1, 2, 3))
NEW_WORDS = "Сегодня Пётр вернулся в Казань."


def stores(services):
    return Stores(services.records, services.blobs, services.indexes, services.graph)


def old_and_young(services):
    """Two posts of the same day, one of them with words that a younger post has, too."""
    ingest_posts(services, [message(1, "Вчера Иван видел Лондон."), message(2, SAME)])
    process_all(services, now=NOON)
    ingest_posts(services, [message(3, SAME)], now=LATER)
    process_all(services, now=LATER)


def sizes(services):
    tables = [table for table in schema.metadata.sorted_tables if table.name not in {"checkpoints", "stage_stats"}]
    with services.records.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }


def test_what_expired_leaves_all_stores_and_the_rest_is_as_if_it_had_never_been(services, tmp_path):
    old_and_young(services)
    before = sizes(services)
    sweep = expire(stores(services), clock=lambda: AFTER)
    assert (sweep.items, sweep.complete, sweep.counts["points"], sweep.counts["vectors"]) == (2, True, 2, 1)
    found = contents(services)
    assert find_inconsistencies(found) == []
    assert list(found["posts"]) == [f"default|{YOUNG}"]
    assert {payload["source"] for payload in found["points"].values()} == {YOUNG}
    after = sizes(services)
    assert {name: (before[name], after[name]) for name in ("posts", "inbox", "vectors", "tombstones", "work")} == {
        "posts": (3, 1),
        "inbox": (3, 1),
        "vectors": (2, 1),
        "tombstones": (0, 2),
        "work": (18, 6),
    }
    assert read_status(services)["posts"] == {
        "received": 1,
        "searchable": 1,
        "pending": 0,
        "failed": 0,
    }
    again = expire(stores(services), clock=lambda: AFTER)
    assert (again.items, again.complete) == (0, True)


def test_an_hour_counts_those_that_left(services):
    old_and_young(services)
    expire(stores(services), clock=lambda: AFTER)
    with services.records.reading() as connection:
        assert work.hour_states(connection, "posts", "index", hour_of(NOON)) == {"gone": 2}
        assert work.hour_states(connection, "posts", "index", hour_of(LATER)) == {"done": 1}


def test_an_export_brought_again_brings_nothing_back_but_an_edit_does(services):
    old_and_young(services)
    expire(stores(services), clock=lambda: AFTER)
    old = [message(1, "Вчера Иван видел Лондон."), message(1, "Раньше.", date=1_699_000_000), message(2, SAME)]
    report = ingest_posts(services, old, now=AFTER)
    assert (report.posts, report.duplicates) == (0, 3)
    assert len(rows(services, schema.inbox)) == 1
    assert ingest_posts(services, [message(1, NEW_WORDS, edited=1_700_000_100)], now=AFTER).posts == 1
    process_all(services, now=AFTER)
    found = contents(services)
    assert sorted(found["posts"]) == [f"default|{OLD}", f"default|{YOUNG}"]
    assert found["posts"][f"default|{OLD}"]["expires_at"] == AFTER + 30 * DAY_S
    assert [row["source_key"] for row in rows(services, schema.tombstones)] == [TWIN]
    assert find_inconsistencies(found) == []


@pytest.mark.parametrize("moment", ["condemned", "let go"])
def test_an_edit_that_arrives_while_its_post_leaves_wins(services, embedded, moment, monkeypatch):
    edit = message(1, NEW_WORDS, edited=1_700_000_100)
    for home in (services, embedded):
        old_and_young(home)
    with services.records.begin() as connection:
        keys = tombstones.expired_keys(connection, "posts", AFTER, 10)
        assert tombstones.mark_for_erasure(connection, "posts", keys, "expired", now=AFTER, until=AFTER) == 2
        leaving = tombstones.pending_erasures(connection, 10)
    if moment == "condemned":
        ingest_posts(services, [edit], now=AFTER)
        assert erase_from_projections(stores(services), leaving, now=AFTER).keys == [("default", TWIN)]
    else:
        at_the_graph = services.graph.writing

        def arriving():
            ingest_posts(services, [edit], now=AFTER)
            return at_the_graph()

        monkeypatch.setattr(services.graph, "writing", arriving)
        assert erase_from_projections(stores(services), leaving, now=AFTER).keys == [("default", TWIN)]
        monkeypatch.undo()
    process_all(services, now=AFTER)
    expire(stores(embedded), clock=lambda: AFTER)
    ingest_posts(embedded, [edit], now=AFTER)
    process_all(embedded, now=AFTER)
    found = contents(services)
    assert find_inconsistencies(found) == []
    assert differences(contents(embedded), found) == []


def test_an_edit_that_waits_to_be_parsed_is_not_taken_for_its_expired_post(services):
    old_and_young(services)
    ingest_posts(services, [message(1, NEW_WORDS, edited=1_700_000_100)], now=AFTER)
    assert expire(stores(services), clock=lambda: AFTER).items == 1
    process_all(services, now=AFTER)
    assert sorted(contents(services)["posts"]) == [f"default|{OLD}", f"default|{YOUNG}"]


def test_a_batch_that_was_claimed_before_its_items_left_writes_nothing(services):
    old_and_young(services)
    with services.records.begin() as connection:
        work.requeue(connection, "index", [ItemKey("default", OLD)], now=AFTER)
    searching = services.vectors.writing

    def meanwhile():
        services.vectors.writing = searching
        assert expire(stores(services), clock=lambda: AFTER).items == 2
        return searching()

    services.vectors.writing = meanwhile
    with services.records.begin() as connection:
        connection.execute(
            update(schema.index_ledger)
            .where(schema.index_ledger.c.source_key == OLD, schema.index_ledger.c.projection == "vectors")
            .values(confirmed={})
        )
    process_all(services, stages=["index"], now=AFTER)
    assert {payload["source"] for _, payload in services.vectors.points()} >= {YOUNG}
    assert rows(services, schema.index_ledger, schema.index_ledger.c.source_key == OLD) == []
