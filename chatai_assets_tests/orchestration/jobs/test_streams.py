"""Runs of whole hours, with real embedded stores and free models."""

import time

import dagster as dg
import pytest

from chatai_assets.adapters.crawler.crawler import Crawler
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.ids import STREAMS
from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.orchestration import failures
from chatai_assets.orchestration.assets.streams import asset_keys
from chatai_assets.orchestration.build import build_defs
from chatai_assets.settings.limits import StreamLimits
from chatai_assets.settings.stages import StageLimits
from chatai_assets.storage import dead_letters
from chatai_assets.storage import work_queue as work
from chatai_assets_tests.support.hostile_web import TIGHT_LIMITS, run_internet

PRIVATE = "Слонопотам"
WORDS = f"Сегодня вечером в городе обещают большой дождь с ветром, сообщает {PRIVATE}"  # tags are the first words
TEXT = f"{WORDS}. Park in London is green. " * 30


def every_event(home) -> str:
    """Return all that Dagster stored, as text."""
    records = [record for run in home.instance.get_runs() for record in home.instance.all_logs(run.run_id)]
    return "\n".join(str(record) for record in records)


def checks_of(home, stream):
    names = {"hour_complete": "indexed", "no_dead_letters": "parsed"}
    found = {}
    for name, asset in names.items():
        key = dg.AssetCheckKey(dg.AssetKey([stream, asset]), name)
        record = home.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        found[name] = record.event.dagster_event.event_specific_data
    return found


def test_one_hour_of_both_streams_becomes_searchable_and_linked(home):
    home.posts(range(1, 8), words=WORDS)
    home.document("a.txt", TEXT.encode())
    home.document("broken.pdf", b"%PDF-1.7\nnothing of the kind")
    outcomes = {stream: home.run(stream, home.hour()) for stream in STREAMS}
    assert [outcome.failure for outcome in outcomes.values()] == [None, None]
    assert home.states("posts") == {"searchable": 7, "pending": 0, "failed": 0}
    assert home.states("documents") == {"searchable": 1, "pending": 0, "failed": 1}
    assert home.services.vectors.count() >= 8
    for stream in STREAMS:
        for key in asset_keys(stream).values():
            assert home.instance.get_materialized_partitions(key) == {home.hour()}
    assert PRIVATE not in every_event(home)

    parsed = home.metadata("posts", "parsed")
    assert (parsed["run_in"], parsed["run_done"], parsed["hour_total"], parsed["hour_open"]) == (7, 7, 7, 0)
    assert parsed["run_chunks"] == 7
    assert parsed["preview"].records[0].data["source"].startswith("tg/")
    documents = home.metadata("documents", "parsed")
    assert (documents["run_done"], documents["run_failed"], documents["hour_failed"]) == (1, 1, 1)
    assert len(documents["dead_letters"].records) == 1

    checks = checks_of(home, "documents")
    assert checks["hour_complete"].passed
    assert not checks["no_dead_letters"].passed
    assert checks["no_dead_letters"].severity is dg.AssetCheckSeverity.WARN
    assert checks["no_dead_letters"].metadata["dead_letters"].value == 1
    assert checks_of(home, "posts")["no_dead_letters"].passed


def test_materializing_an_hour_again_changes_nothing(home):
    home.posts(range(1, 8))
    home.run("posts", home.hour())
    assert home.run("posts", home.hour()).failure is None
    again = home.metadata("posts", "indexed")
    assert (again["run_in"], again["hour_done"], again["hour_total"]) == (0, 7, 7)


def test_a_run_does_a_bounded_share_and_the_check_says_what_is_left(home, settings):
    home.defs = build_defs(
        settings.replace(posts=StreamLimits(run_items=4, batch_items=2, projection_items=3)), services=home.services
    )
    home.posts(range(1, 8))
    assert home.run("posts", home.hour()).failure is None
    check = checks_of(home, "posts")["hour_complete"]
    assert not check.passed
    assert check.metadata["open_items"].value == 3
    assert home.run("posts", home.hour()).failure is None
    assert checks_of(home, "posts")["hour_complete"].passed


def test_a_backfill_of_three_hours_does_only_what_is_not_done(home):
    hours = [home.hour(ago) for ago in (3, 2, 1)]
    for ago in (3, 2, 1):
        home.posts(range(ago * 10, ago * 10 + 3), ago=ago)
    home.run("posts", hours[1])
    done = []
    for hour in hours:
        assert home.run("posts", hour).failure is None
        done.append(home.metadata("posts", "linked")["run_done"])
    assert done == [3, 0, 3]
    assert not home.due("posts")


def test_a_store_outage_fails_the_run_with_one_sentence_and_no_dead_letter(home, monkeypatch):
    monkeypatch.setattr(failures, "STORE_RETRY_DELAY_S", 0)
    home.posts(range(1, 8))
    folder = home.services.settings.home / "vectors"
    folder.write_text("a file where the index should be")
    outcome = home.run("posts", home.hour())
    assert outcome.failure is not None
    assert "7 posts wait at the stage 'index'" in outcome.failure
    assert "nothing is lost" in outcome.failure
    with home.records.reading() as connection:
        assert dead_letters.count_open(connection) == 0
        assert work.hour_states(connection, "posts", "link", home.hour()) == {"done": 7}
    folder.unlink()
    assert home.run("posts", home.hour()).failure is None
    assert home.states("posts")["searchable"] == 7


def test_an_outage_of_tags_does_not_keep_posts_from_being_found(home):
    class Tagger:
        model = "none"

        def tag(self, _texts):
            raise StoreUnavailable("The tagger is down.")

    home.posts(range(1, 4))
    home.services.__dict__["tagger"] = Tagger()
    assert "The tagger is down. 3 posts wait at the stage 'tag'" in str(home.run("posts", home.hour()).failure)
    assert home.states("posts")["searchable"] == 3


def test_a_stage_that_hangs_is_stopped_and_gives_its_items_back(home, settings):
    class Tagger:
        model = "slow"

        def tag(self, _texts):
            until = time.monotonic() + 30
            while time.monotonic() < until:
                pass

    home.services.__dict__["tagger"] = Tagger()
    home.defs = build_defs(
        settings.replace(stages={stage: StageLimits(deadline_s=1.0) for stage in ITEM_STAGES}), services=home.services
    )
    home.posts(range(1, 4))
    outcome = home.run("posts", home.hour())
    assert "over the deadline of the stage 'tag' of posts, 1 s, and was stopped" in str(outcome.failure)
    with home.records.reading() as connection:
        assert work.hour_states(connection, "posts", "tag", home.hour()) == {"pending": 3}


def test_an_unforeseen_error_fails_the_run_without_quoting_what_it_was_about(home):
    class Vectors:
        def generation(self):
            return None

        def points(self):
            return iter(())

        def writing(self):
            raise KeyError(WORDS)

    home.services.__dict__["vectors"] = Vectors()
    home.posts(range(1, 4), words=WORDS)
    failure = str(home.run("posts", home.hour()).failure)
    assert "An unforeseen KeyError stopped the stage. 3 posts wait at the stage 'index'" in failure
    assert PRIVATE not in every_event(home)


@pytest.mark.parametrize("stream", STREAMS)
def test_the_arrows_are_those_of_the_data(home, stream):
    graph = home.defs.resolve_asset_graph()
    keys = asset_keys(stream)
    after = {stage: {key.path[-1] for key in graph.get(keys[stage]).parent_keys} for stage in ITEM_STAGES}
    assert after == {
        "parse": set(),
        "tag": {"parsed"},
        "enrich": {"parsed"},
        "embed": {"parsed"},
        "index": {"embedded"},
        "link": {"tagged", "enriched"},
    }
    for key in keys.values():
        node = graph.get(key)
        assert node.group_name == stream
        assert node.owners
        assert node.description
        assert node.code_version
        assert "dagster/column_schema" in node.metadata


def test_posts_are_found_in_a_run_and_their_pages_in_the_next(home):
    with run_internet() as net, Crawler(home.services.parser, TIGHT_LIMITS, net.policy) as pages:
        home.services.__dict__["pages"] = pages
        home.posts(range(1, 2), words=f"Смотрите {net.url('article')}")
        assert home.run("posts", home.hour()).failure is None
        assert (home.states("posts")["searchable"], home.services.vectors.count()) == (1, 1)
        enriched = home.metadata("posts", "enriched")
        assert (enriched["run_posts_with_links"], enriched["run_pages_read"]) == (1, 1)
        assert home.run("posts", home.hour()).failure is None
    assert (home.due("posts"), home.services.vectors.count()) == ({}, 2)
