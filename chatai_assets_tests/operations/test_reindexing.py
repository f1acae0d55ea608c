"""Another model comes to serve beside the first, and nobody misses anything meanwhile."""

import shutil
from collections import Counter
from contextlib import contextmanager

import pytest
from sqlalchemy import select, update

from chatai_assets.adapters.models.fake import HashedEmbedder
from chatai_assets.adapters.vectors.collection import LAYOUTS, Layout
from chatai_assets.domain.errors import ProviderUnreachable, StoreUnavailable
from chatai_assets.operations.audit.audit import audit
from chatai_assets.operations.erasure import forget
from chatai_assets.operations.reindexing import CannotReindex, abort, build, drop_old, start, start_rebuild
from chatai_assets.operations.relevance import EvalQuery
from chatai_assets.orchestration.projection_monitor import ProjectionMonitor
from chatai_assets.services import Services
from chatai_assets.storage import reindexing as filling
from chatai_assets.storage import schema
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.erasure import erasure_stores
from chatai_assets_tests.support.pipeline import (
    due_hours,
    find_chunks,
    ingest_files,
    ingest_posts,
    message,
    process_all,
    read_status,
    rows,
    run,
    stage_run_config,
)
from chatai_assets_tests.support.reindexing import (
    UnreachableEmbedder,
    active_points,
    build_index,
    reindex_context,
    run_rebuild,
    run_reindex,
    run_rollback,
)

COUNT = 40
WHALE = "Синий кит проплыл мимо маяка и нырнул."


def with_posts(services):
    """Return a home with forty-one posts, indexed."""
    ingest_posts(services, [*corpus.posts(7, COUNT), message(900, WHALE)])
    process_all(services)
    return services


@pytest.fixture
def home(embedded):
    """On embedded stores."""
    return with_posts(embedded)


@pytest.fixture
def either(services):
    """On embedded stores and on servers."""
    return with_posts(services)


def found(services, question=WHALE):
    return [hit.source for hit in find_chunks(services, question)]


def states(services):
    return {row["number"]: row["state"] for row in rows(services, schema.indexes)}


def agrees(services):
    vectors, _ = services.audited
    return audit(services.records, vectors).agrees


def test_another_model_serves_what_the_first_one_did(either):
    before, first = active_points(either), either.indexes.serving()
    done = run_reindex(either, "free:512")
    assert done.comparison
    assert (done.serves, done.refused, done.comparison.worse) == (True, "", [])
    assert active_points(either) == before
    assert either.indexes.serving().about.dimensions == 512
    assert states(either) == {1: "kept", 2: "serving"}
    assert dict(first.vectors.points()) == before
    assert agrees(either)
    assert found(either)[0].endswith("/900")
    assert rows(either, schema.work, schema.work.c.stage == "reindex") == []
    told = read_status(either)
    assert [(index["embedder"], index["state"]) for index in told["indexes"]] == [
        ("free", "kept"),
        ("free:512", "serving"),
    ]
    assert (told["vectors"]["points"], told["lost"]) == (len(before), [])


def test_work_goes_on_in_the_index_that_serves(home):
    run_reindex(home, "free:512")
    ingest_posts(home, [message(901, "Жираф вышел из поезда.")])
    process_all(home)
    assert found(home, "Жираф вышел из поезда.")[0].endswith("/901")
    assert {row["model"] for row in rows(home, schema.vectors)} == {"free-hashed-256-1", "free-hashed-512-1"}
    assert agrees(home)


def test_what_comes_is_edited_and_goes_while_it_is_filled_is_there_after(either):
    build_index(either, "free:512")
    ingest_posts(either, [message(901, "Жираф вышел из поезда."), message(900, "Кит уплыл.", edited=1_800_000_000)])
    process_all(either)
    forget(erasure_stores(either), f"tg/{-1_000_000_000_123}/901")
    gone = rows(either, schema.posts)[0]["source_key"]
    forget(erasure_stores(either), gone)
    done = run_reindex(either, "free:512")
    assert done.serves
    assert {payload["source"] for payload in active_points(either).values()} == {
        row["source_key"] for row in rows(either, schema.posts)
    }
    assert agrees(either)
    kept = either.indexes.opened(either.indexes.of("kept"))
    assert gone not in {payload["source"] for _, payload in kept.vectors.points()}


def test_an_edit_on_its_way_hides_nothing_of_the_revision_before_it(home):
    start(reindex_context(home), *home.resolve_embedder("free:512"))
    with home.records.begin() as connection:
        filling.enqueue_some(connection, 2, now=1.0)
    ingest_posts(home, [message(900, "Кит уплыл.", edited=1_800_000_000)])
    assert run_reindex(home, "free:512").serves
    assert any(payload["source"].endswith("/900") for payload in active_points(home).values())
    process_all(home)
    assert found(home, "Кит уплыл.")[0].endswith("/900")
    assert agrees(home)


def test_what_was_embedded_for_the_old_index_comes_into_the_new_one(home):
    ingest_posts(home, [message(901, "Жираф вышел из поезда.")])
    process_all(home, stages=("parse", "tag", "enrich", "embed"))
    run_reindex(home, "free:512")
    for _ in range(2):
        process_all(home)
    assert due_hours(home, "posts") == []
    assert found(home, "Жираф вышел из поезда.")[0].endswith("/901")
    assert agrees(home)


def test_a_bad_model_is_refused_and_serves_only_if_told(home):
    done = run_reindex(home, "free:2")
    assert not done.serves
    assert "mean reciprocal rank by meaning alone" in done.refused
    assert states(home) == {1: "serving", 2: "filling"}
    assert found(home)[0].endswith("/900")
    with pytest.raises(CannotReindex, match="free:2 is being filled"):
        run_reindex(home, "free:512")
    assert run_reindex(home, "free:2", even_if_worse=True).serves
    assert home.indexes.serving().about.embedder == "free:2"


def test_questions_of_people_decide(home):
    lost = [EvalQuery("default", WHALE, "tg/1/1")]
    compared = run_reindex(home, "free:512", asked=lambda: lost).comparison
    assert compared
    assert (compared.questions, compared.after["meaning alone"].recall) == (1, 0.0)


def test_what_is_given_up_leaves_nothing(home):
    build_index(home, "free:512")
    assert abort(reindex_context(home)).embedder == "free:512"
    assert states(home) == {1: "serving"}
    assert {row["model"] for row in rows(home, schema.vectors)} == {"free-hashed-256-1"}
    assert {row["projection"] for row in rows(home, schema.index_ledger)} == {"vectors", "graph"}
    assert rows(home, schema.work, schema.work.c.stage == "reindex") == []
    assert run_reindex(home, "free:512").index.number == 3
    with pytest.raises(CannotReindex, match="No index is being filled"):
        abort(reindex_context(home))


def test_the_way_back_costs_only_what_came_since(either):
    run_reindex(either, "free:512")
    ingest_posts(either, [message(901, "Жираф вышел из поезда."), message(900, "Кит уплыл.", edited=1_800_000_000)])
    process_all(either)
    after = active_points(either)
    done = run_rollback(either)
    assert (done.serves, done.filled.counts["texts_embedded"]) == (True, 2)
    assert either.indexes.serving().about.number == 1
    assert active_points(either) == after
    assert agrees(either)
    drop_old(reindex_context(either))
    assert states(either) == {1: "serving"}
    assert {row["model"] for row in rows(either, schema.vectors)} == {"free-hashed-256-1"}
    with pytest.raises(CannotReindex, match="No index is kept"):
        run_rollback(either)


def test_nothing_is_embedded_twice_when_filling_is_stopped_and_gone_on_with(home):
    texts = {row["text_hash"] for row in rows(home, schema.chunks)}
    first = build_index(home, "free:512", ends=0.0)
    assert not first.complete
    means = reindex_context(home)
    start(means, *home.resolve_embedder("free:512"))
    with home.records.reading() as connection:
        assert filling.count_states(connection) == {}
    done = run_reindex(home, "free:512")
    assert done.filled.counts["texts_embedded"] == len(texts)
    assert run_reindex(home, "free").filled.counts["texts_embedded"] == 0


def test_a_provider_that_is_down_leaves_the_serving_index_alone(home, monkeypatch):
    start(reindex_context(home), *home.resolve_embedder("free:512"))
    made = home.models.open_query_embedder  # where a provider would be asked
    monkeypatch.setattr(
        home.models, "open_query_embedder", lambda name: UnreachableEmbedder(512) if name == "free:512" else made(name)
    )
    with pytest.raises(ProviderUnreachable):
        build_index(home, "free:512", begun=True)
    ingest_posts(home, [message(901, "Жираф вышел из поезда.")])
    process_all(home)
    assert found(home, "Жираф вышел из поезда.")[0].endswith("/901")
    with home.records.reading() as connection:
        states = connection.execute(select(schema.work.c.state).where(schema.work.c.stage == "reindex")).scalars()
        assert Counter(states) == {"pending": COUNT + 2}


def test_an_index_run_that_another_index_overtakes_is_done_in_that_one(home):
    index = start(reindex_context(home), *home.resolve_embedder("free:512"))
    ingest_posts(home, [message(901, "Жираф вышел из поезда.")])
    process_all(home, stages=("parse", "tag", "enrich", "embed"))
    overtaken = home.vectors.writing

    def meanwhile():
        home.vectors.writing = overtaken
        assert run_reindex(home, "free:512").index.number == index.number
        return overtaken()

    home.vectors.writing = meanwhile
    (hour,) = due_hours(home, "posts")
    run("index", stage_run_config("posts", hour), home)
    for _ in range(2):
        process_all(home)
    assert found(home, "Жираф вышел из поезда.")[0].endswith("/901")
    assert len(active_points(home)) == len(
        {row["source_key"] + str(row["ordinal"]) for row in rows(home, schema.chunks)}
    )
    assert agrees(home)


def test_filling_shows_in_no_hour_that_is_behind(home):
    start(reindex_context(home), *home.resolve_embedder("free:512"))
    with home.records.begin() as connection:
        assert filling.enqueue_some(connection, 2, now=1.0) == COUNT + 1
    assert due_hours(home, "posts") == []
    assert read_status(home)["hours_behind"] == []
    fill_all = reindex_context(home)
    build(fill_all, home.indexes.of("filling"), build_index(home, "free:512", begun=True))


def test_an_index_that_is_lost_while_it_is_filled_or_kept_is_written_again(home):
    build_index(home, "free:512")
    shutil.rmtree(home.settings.home / "vectors-2")
    assert [said.split()[1] for said in ProjectionMonitor().check(home)] == ["vectors/2"]
    assert run_reindex(home, "free:512").serves
    before = active_points(home)
    assert len(before) == len(rows(home, schema.chunks))
    shutil.rmtree(home.settings.home / "vectors")
    assert [said.split()[1] for said in ProjectionMonitor().check(home)] == ["vectors"]
    assert due_hours(home, "posts") == []
    assert run_rollback(home).filled.counts["points_written"] == len(before)
    assert active_points(home) == before
    assert agrees(home)


def test_the_index_that_serves_is_written_again_when_it_is_lost(home):
    run_reindex(home, "free:512")
    before = active_points(home)
    shutil.rmtree(home.settings.home / "vectors-2")
    assert [said.split()[1] for said in ProjectionMonitor().check(home)] == ["vectors/2"]
    process_all(home)
    assert active_points(home) == before
    assert agrees(home)


def test_a_setting_that_changes_mixes_nothing(home):
    changed = home.settings.replace(models=home.settings.models.replace(embedder="offline"))
    with Services(changed) as services:
        ingest_posts(services, [message(901, "Жираф вышел из поезда.")])
        process_all(services)
        assert found(services, "Жираф вышел из поезда.")[0].endswith("/901")
    assert {row["model"] for row in rows(home, schema.vectors)} == {"free-hashed-256-1"}


def test_what_is_down_is_told_by_the_name_of_whoever_embeds_for_the_index(home, monkeypatch):
    run_reindex(home, "free:512")
    monkeypatch.setattr(home.models, "open_query_embedder", lambda _name: UnreachableEmbedder(512))
    home._open_indexes.clear()  # noqa: SLF001 - as in a new process
    ingest_posts(home, [message(901, "Жираф вышел из поезда.")])
    with pytest.raises(ProviderUnreachable) as caught:
        process_all(home)
    assert caught.value.part == "free"


def test_an_index_run_that_is_overtaken_before_it_commits_is_done_again_in_the_other(home):
    build_index(home, "free:512")
    ingest_posts(home, [message(901, "Жираф вышел из поезда."), message(900, "Кит уплыл.", edited=1_800_000_000)])
    process_all(home, stages=("parse", "tag", "enrich", "embed"))
    writing = home.vectors.writing

    @contextmanager
    def then_another_serves():
        home.vectors.writing = writing
        with writing() as writer:
            yield writer
        assert run_reindex(home, "free:512").serves

    home.vectors.writing = then_another_serves
    (hour,) = due_hours(home, "posts")
    assert run("index", stage_run_config("posts", hour), home).done == 0
    process_all(home)
    assert found(home, "Жираф вышел из поезда.")[0].endswith("/901")
    assert found(home, "Кит уплыл.")[0].endswith("/900")
    assert agrees(home)
    assert run_rollback(home).serves
    assert agrees(home)


def test_documents_stay_what_they_are_while_they_are_filled(home, tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_text("Договор подписан в Казани.", encoding="utf-8")
    ingest_files(home, [file])
    process_all(home)
    start(reindex_context(home), *home.resolve_embedder("free:512"))
    (tmp_path / "b.txt").write_text("Письмо пришло из Лондона.", encoding="utf-8")
    ingest_files(home, [tmp_path / "b.txt"])
    made, seen = home.models.open_query_embedder, list[str]()  # where the new model is asked

    class Watching(HashedEmbedder):
        def embed(self, questions):
            seen.extend(row["status"] for row in rows(home, schema.documents))
            return super().embed(questions)

    monkeypatch.setattr(
        home.models, "open_query_embedder", lambda name: Watching(512) if name == "free:512" else made(name)
    )
    assert run_reindex(home, "free:512").serves
    assert {*seen} == {"completed", "pending"}
    assert sorted(row["status"] for row in rows(home, schema.documents)) == ["completed", "pending"]


def test_a_search_goes_on_in_the_other_index_when_its_own_is_gone(home):
    def too_late(_query):
        del home.vectors.search
        assert run_reindex(home, "free:512").serves
        drop_old(reindex_context(home))
        raise StoreUnavailable("the lock of the vector index cannot be taken")

    home.vectors.search = too_late
    assert found(home)[0].endswith("/900")


NEXT_LAYOUT = 2


@pytest.fixture
def newer(either, monkeypatch):
    """A home after a release has come that has a newer layout of vector indexes."""
    with either.records.begin() as connection:
        connection.execute(update(schema.indexes).values(layout=None))  # as homes have it that knew no layouts
    add_layout(monkeypatch)
    with Services(either.settings) as services:
        yield services


@pytest.fixture
def embedded_newer(home, monkeypatch):
    """The same on embedded stores; the layout of the index was recorded."""
    add_layout(monkeypatch)
    with Services(home.settings) as services:
        yield services


def add_layout(monkeypatch):
    first = LAYOUTS[1]
    monkeypatch.setitem(LAYOUTS, NEXT_LAYOUT, Layout((*first.keywords, "title"), first.integers))


def layouts(services):
    return {row["number"]: row["layout"] for row in rows(services, schema.indexes)}


def test_an_index_of_an_older_layout_is_searched_and_written_as_before(newer):
    before = active_points(newer)
    ingest_posts(newer, [message(901, "Жираф вышел из поезда."), message(900, "Кит уплыл.", edited=1_800_000_000)])
    process_all(newer)
    assert found(newer, "Жираф вышел из поезда.")[0].endswith("/901")
    assert found(newer, "Кит уплыл.")[0].endswith("/900")
    assert len(active_points(newer)) == len(before) + 1
    assert (layouts(newer), newer.indexes.serving_now().layout) == ({1: None}, 1)
    assert agrees(newer)


def test_a_rebuild_serves_the_newest_layout_by_the_same_model_and_has_a_way_back(newer):
    before = active_points(newer)
    (told,) = read_status(newer)["indexes"]
    assert told["advice"] == (
        "The vector index of free has layout 1, and layout 2 is available: `chatai reindex --rebuild`."
    )
    done = run_rebuild(newer)
    assert done.comparison
    assert (done.serves, done.refused, done.filled.counts["texts_embedded"]) == (True, "", 0)
    assert (states(newer), layouts(newer)) == ({1: "kept", 2: "serving"}, {1: None, 2: NEXT_LAYOUT})
    assert active_points(newer) == before
    assert found(newer)[0].endswith("/900")
    assert agrees(newer)
    assert [index["advice"] for index in read_status(newer)["indexes"]] == [None, None]
    ingest_posts(newer, [message(901, "Жираф вышел из поезда.")])
    process_all(newer)
    assert run_rollback(newer).serves
    assert newer.indexes.serving_now().layout == 1
    assert found(newer, "Жираф вышел из поезда.")[0].endswith("/901")
    assert agrees(newer)


def test_a_rebuild_after_a_way_back_takes_up_the_index_that_has_the_newest_layout(newer):
    run_rebuild(newer)
    run_rollback(newer)
    done = run_rebuild(newer)
    assert (done.serves, done.index.number, done.filled.counts["points_written"]) == (True, 2, 0)
    drop_old(reindex_context(newer))
    assert layouts(newer) == {2: NEXT_LAYOUT}
    assert agrees(newer)


def test_a_rebuild_that_was_interrupted_resumes(embedded_newer):
    newer = embedded_newer
    assert start_rebuild(reindex_context(newer)) == start_rebuild(reindex_context(newer))
    with pytest.raises(CannotReindex, match="free is being filled"):
        start(reindex_context(newer), *newer.resolve_embedder("free:512"))
    assert run_rebuild(newer).index.number == 2


def test_a_rebuild_in_the_newest_layout_makes_a_new_index(home):
    before = active_points(home)
    assert run_rebuild(home).index.number == 2
    assert run_rebuild(home).index.number == 3
    assert (states(home), active_points(home)) == ({2: "kept", 3: "serving"}, before)


def test_an_index_of_an_older_layout_that_is_lost_is_made_again_in_its_layout(embedded_newer):
    newer, before = embedded_newer, active_points(embedded_newer)
    shutil.rmtree(newer.settings.home / "vectors")
    ProjectionMonitor().check(newer)
    process_all(newer)
    assert (active_points(newer), newer.indexes.serving_now().layout) == (before, 1)


def test_an_index_of_a_later_release_is_not_made_by_this_one(home):
    with home.records.begin() as connection:
        connection.execute(update(schema.indexes).values(layout=NEXT_LAYOUT))
    shutil.rmtree(home.settings.home / "vectors")
    with Services(home.settings) as services:
        ProjectionMonitor().check(services)
        with pytest.raises(StoreUnavailable, match="run a later release"):
            process_all(services)
