"""A slow run of an old revision, two runs of one hour, and claims of those who died."""

import threading
from contextlib import contextmanager

import pytest

from chatai_assets.domain.stages import ITEM_STAGES, Stage
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support.pipeline import (
    Limits,
    contents,
    differences,
    due_hours,
    find_inconsistencies,
    ingest_files,
    ingest_posts,
    message,
    migrated_settings,
    process_all,
    rows,
    run,
    stage_run_config,
)

OLD = " ".join(f"Поезд номер {n} прибыл на станцию Москва вчера." for n in range(200))
NEW = "Сегодня Мария видела Байкал рядом."
PATIENCE_S = 60


class Hesitating:
    """A model or an open store that says when it was reached and goes on when it may."""

    def __init__(self, asked, reached, may_go):
        self.asked, self.reached, self.may_go = asked, reached, may_go

    def __getattr__(self, name):
        found = getattr(self.asked, name)
        if name not in {"tag", "extract", "embed", "upsert", "apply"}:
            return found

        def slowly(what):
            self.reached.set()
            assert self.may_go.wait(PATIENCE_S)
            return found(what)

        return slowly

    @contextmanager
    def writing(self):
        with self.asked.writing() as writer:
            yield Hesitating(writer, self.reached, self.may_go)


PART: dict[Stage, str] = {
    "tag": "tagger",
    "enrich": "extractor",
    "embed": "embedder",
    "index": "vectors",
    "link": "graph",
}


@pytest.mark.parametrize("stage", PART)
def test_a_slow_run_of_an_old_revision_never_wins(tmp_path, settings, stage):
    reached, may_go = threading.Event(), threading.Event()
    with Services(settings) as services, Services(settings) as slow:
        ingest_posts(services, [message(1, OLD), message(2, "Вчера Иван видел Лондон рядом.")])
        process_all(services, stages=ITEM_STAGES[: ITEM_STAGES.index(stage)])
        slow.__dict__[PART[stage]] = Hesitating(getattr(slow, PART[stage]), reached, may_go)
        (hour,) = due_hours(slow, "posts")
        reports = []
        thread = threading.Thread(target=lambda: reports.append(run(stage, stage_run_config("posts", hour), slow)))
        thread.start()
        assert reached.wait(PATIENCE_S)
        ingest_posts(services, [message(1, NEW, edited=1_700_000_100)])
        # Whoever holds the lock of a store makes the newer run wait: it goes on a while after that has begun.
        threading.Timer(0.5 if stage in {"index", "link"} else 0.0, may_go.set).start()
        if stage in {"index", "link"}:
            process_all(services)
        else:
            process_all(services, stages=["parse", "tag", "enrich", "embed", "index"])
        thread.join(PATIENCE_S)
        process_all(services)
        assert reports[0].lost == 1
        found = contents(services)
    assert find_inconsistencies(found) == []
    assert differences(expected(tmp_path), found) == []


def expected(tmp_path):
    with Services(migrated_settings(tmp_path / "quiet")) as services:
        ingest_posts(services, [message(2, "Вчера Иван видел Лондон рядом."), message(1, NEW, edited=1_700_000_100)])
        process_all(services)
        return contents(services)


def test_tags_that_come_while_an_item_is_indexed_are_indexed_too(tmp_path, settings):
    reached, may_go = threading.Event(), threading.Event()
    with Services(settings) as services, Services(settings) as slow:
        ingest_posts(services, [message(2, "Вчера Иван видел Лондон рядом."), message(1, NEW, edited=1_700_000_100)])
        process_all(services, stages=["parse", "enrich", "embed"])
        slow.__dict__["vectors"] = Hesitating(slow.vectors, reached, may_go)
        (hour,) = due_hours(slow, "posts")
        thread = threading.Thread(target=run, args=("index", stage_run_config("posts", hour), slow))
        thread.start()
        assert reached.wait(PATIENCE_S)
        run("tag", stage_run_config("posts", hour), services)
        may_go.set()
        thread.join(PATIENCE_S)
        process_all(services)
        assert differences(expected(tmp_path), contents(services)) == []


def test_the_same_again_writes_nothing(embedded):
    ingest_posts(embedded, [message(number, f"Вчера поезд {number} видел Париж.") for number in range(1, 20)])
    process_all(embedded)
    before = contents(embedded)
    stores = embedded.settings.home / "vectors", embedded.settings.home / "graph"
    touched = [max(file.stat().st_mtime_ns for file in store.rglob("*.dat")) for store in stores[:1]]
    batches = len(rows(embedded, schema.stage_stats))
    report = ingest_posts(embedded, [message(number, f"Вчера поезд {number} видел Париж.") for number in range(1, 20)])
    assert (report.posts, report.duplicates) == (0, 19)
    assert process_all(embedded) == []
    assert len(rows(embedded, schema.stage_stats)) == batches
    assert [max(file.stat().st_mtime_ns for file in store.rglob("*.dat")) for store in stores[:1]] == touched
    assert differences(before, contents(embedded)) == []


class Closed:
    """A store that nobody may write."""

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        assert name != "writing"
        return getattr(self.store, name)


def test_a_stage_that_finds_what_is_wanted_does_not_even_lock_its_store(services):
    ingest_posts(services, [message(1, OLD)])
    process_all(services)
    with services.records.begin() as connection:
        connection.execute(schema.work.update().values(state="pending"))
    services.__dict__.update(vectors=Closed(services.vectors), graph=Closed(services.graph))
    unchanged = {
        report.stage: report.unchanged
        for report in process_all(services)
        if report.stage in {"tag", "embed", "index", "link"}
    }
    assert unchanged == {"tag": 1, "embed": 1, "index": 1, "link": 1}


@pytest.mark.scenario
def test_one_changed_post_among_a_thousand_is_one_posts_work(services):
    posts = [message(number, f"Вчера поезд {number} видел Париж.") for number in range(1, 1_001)]
    ingest_posts(services, posts)
    process_all(services)
    posts[499] = message(500, "Сегодня поезд 500 видел Лондон.", edited=1_700_000_100)
    assert ingest_posts(services, posts).posts == 1
    reports = {report.stage: report for report in process_all(services)}
    assert {stage: report.taken for stage, report in reports.items()} == dict.fromkeys(
        ("parse", "tag", "enrich", "embed", "index", "link"), 1
    )
    assert reports["embed"].counts["texts_embedded"] == 1
    assert (reports["index"].counts["points_written"], reports["index"].counts["points_deleted"]) == (1, 0)


def test_two_tenants_with_one_channel_share_nothing(services):
    posts = [message(number, f"Вчера поезд {number} видел Париж.") for number in range(1, 6)]
    ingest_posts(services, posts, tenant="one")
    ingest_posts(services, posts, tenant="two")
    process_all(services)
    found = contents(services)
    for store in ("points", "nodes", "edges"):
        by_tenant = {
            tenant: {key for key, value in found[store].items() if tenant_of(value) == tenant}
            for tenant in ("one", "two")
        }
        assert len(by_tenant["one"]) == len(by_tenant["two"]) == len(found[store]) / 2
    assert services.vectors.count({"tenant_id": "one"}) == 5
    ingest_posts(services, [message(1, "", edited=1_700_000_100)], tenant="one")
    process_all(services)
    assert (services.vectors.count({"tenant_id": "one"}), services.vectors.count({"tenant_id": "two"})) == (4, 5)
    assert find_inconsistencies(contents(services)) == []


def tenant_of(value):
    properties = value[3] if isinstance(value, tuple) else value
    return properties["tenant_id"]


def test_an_import_of_one_tenant_does_not_hold_up_the_document_of_another(services, tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"Вчера Иван видел Лондон, глава {number}.", encoding="utf-8")
    (tmp_path / "urgent.txt").write_text("Сегодня Мария видела Байкал.", encoding="utf-8")
    ingest_files(services, [tmp_path / f"{number}.txt" for number in range(40)], tenant="large")
    ingest_files(services, [tmp_path / "urgent.txt"], tenant="small")
    process_all(services, limits=Limits(run_items=10, batch_items=5, projection_items=5))
    status = {(row["tenant_id"], row["file_name"]): row["status"] for row in rows(services, schema.documents)}
    assert status["small", "urgent.txt"] == "completed"
    assert list(status.values()).count("completed") == 10
