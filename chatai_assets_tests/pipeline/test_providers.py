"""Stages whose models are asked over HTTP: the whole way from a post to a point, through faults and quotas."""

import time
from collections import Counter

import pytest

from chatai_assets.domain import retry as retries
from chatai_assets.domain.errors import ProviderUnreachable
from chatai_assets.domain.ids import ItemKey
from chatai_assets.storage import schema
from chatai_assets.storage.llm_responses import erase_results
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    Limits,
    due_hours,
    find_chunks,
    find_inconsistencies,
    ingest_posts,
    message,
    process_all,
    rows,
    run,
    stage_run_config,
    states,
)
from chatai_assets_tests.support.pipeline import contents as contents_of
from chatai_assets_tests.support.providers.home import open_services_at
from chatai_assets_tests.support.providers.server import provider_server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_CALL_BACKOFF_S", 0.01)
    with provider_server() as running:
        yield running


def bring(services, count, tenant="default"):
    ingest_posts(
        services,
        [message(number, f"Вчера поезд {number} видел город Казань.") for number in range(1, count + 1)],
        tenant=tenant,
    )


def of_stage(services, stage):
    return [row for row in rows(services, schema.work) if row["stage"] == stage]


def test_a_post_becomes_searchable_through_providers(server, tmp_path):
    with open_services_at(server, tmp_path / "home") as services:
        bring(services, 30)
        process_all(services)
        assert find_inconsistencies(contents_of(services)) == []
        found = find_chunks(services, "Вчера поезд 7 видел город Казань.", limit=3)
        assert found[0].source.endswith("/7")
        assert found[0].tags
    assert server.counts()["paid_repeats"] == 0  # a question that a post asks in the same words is known already


def test_doing_an_hour_again_pays_for_nothing(server, tmp_path):
    with open_services_at(server, tmp_path / "home") as services:
        bring(services, 20)
        figures = sum((report.counts for report in process_all(services)), Counter())
        assert figures["provider_calls"] == server.counts()["model_calls"]
        assert figures["provider_tokens"] == 40 * 20 + 20 * 7
        paid = server.counts()["paid"]
        with services.records.begin() as connection:
            connection.execute(schema.work.update().values(state="pending", next_attempt_at=0))
    with open_services_at(server, tmp_path / "home") as services:
        figures = sum((report.counts for report in process_all(services)), Counter())
        assert {row["state"] for row in rows(services, schema.work)} == {"done"}
    assert server.counts()["paid"] == paid
    assert (figures["store_hits"], figures["misses"], figures["provider_calls"]) == (40, 0, 0)


def test_an_outage_costs_no_attempt_and_writes_no_letter(server, tmp_path):
    with open_services_at(server, tmp_path / "home") as services:
        bring(services, 40)
        process_all(services, stages=("parse",))
        server.behave(shares={"503": 1.0})
        with pytest.raises(ProviderUnreachable):
            process_all(services, stages=("tag",))
        assert {(row["state"], row["attempts"]) for row in of_stage(services, "tag")} == {("pending", 0)}
        server.behave()
        process_all(services, stages=("tag",))
        assert {row["state"] for row in of_stage(services, "tag")} == {"done"}
        assert rows(services, schema.worker_dlq) == []


def test_a_full_quota_puts_off_and_costs_no_attempt(server, tmp_path):
    with open_services_at(server, tmp_path / "home", CHATAI_QUOTA_MINUTE="10", CHATAI_QUOTA_PATIENCE_S="1") as services:
        bring(services, 25)
        bring(services, 5, tenant="another")
        process_all(services, stages=("parse",))
        (hour,) = due_hours(services, "posts")
        report = run("tag", stage_run_config("posts", hour, Limits(max_attempts=1)), services)
        assert (report.done, dict(report.retried)) == (15, {"NotAsked": 15})
        waiting = [row for row in of_stage(services, "tag") if row["state"] == "pending"]
        assert {(row["tenant_id"], row["attempts"]) for row in waiting} == {("default", 0)}
        assert all(50 < row["next_attempt_at"] - time.time() < 62 for row in waiting)
    assert server.counts()["model_calls"] == 15


def test_a_storm_ends_with_everything_done_once(server, tmp_path):
    shares = {"429": 0.08, "500": 0.06, "503": 0.04, "cut": 0.06, "lost_ack": 0.06}
    with open_services_at(server, tmp_path / "home") as services:
        bring(services, 300)
        process_all(services, stages=("parse",))
        server.behave(shares=shares)
        for later in range(6):
            process_all(
                services, stages=("tag", "embed"), limits=Limits(batch_items=100), now=time.time() + 7_200 * later
            )
        assert {row["state"] for row in [*of_stage(services, "tag"), *of_stage(services, "embed")]} == {"done"}
        assert len(rows(services, schema.vectors)) == 300
        assert rows(services, schema.worker_dlq) == []
    counts = server.counts()
    assert counts["paid_repeats"] <= counts["lost"]


def test_answers_go_with_the_last_item_that_uses_them(server, tmp_path):
    with open_services_at(server, tmp_path / "home") as services:
        bring(services, 3)
        bring(services, 3, tenant="another")
        ingest_posts(services, [message(99, "Вчера поезд 1 видел город Казань.")])
        process_all(services)
        answers, uses = rows(services, schema.provider_results), rows(services, schema.provider_result_uses)
        assert len({(row["tenant_id"], row["fingerprint"]) for row in uses}) == len(answers) == 2 * 2 * 3
        assert len(uses) == len(answers) + 2  # the repost is tagged and enriched by the answers to post 1
        with services.records.begin() as connection:
            assert erase_results(connection, [ItemKey("default", f"tg/{CHAT}/1")]) == 0
            assert erase_results(connection, [ItemKey("default", f"tg/{CHAT}/{n}") for n in (2, 99)]) == 4
        left = rows(services, schema.provider_results)
        assert Counter(row["tenant_id"] for row in left) == {"default": 2, "another": 6}
        assert {row["source_key"] for row in rows(services, schema.provider_result_uses)} == {
            f"tg/{CHAT}/{n}" for n in (1, 2, 3)
        }


def test_models_that_cost_nothing_keep_no_account_of_answers(embedded):
    bring(embedded, 3)
    process_all(embedded)
    assert rows(embedded, schema.provider_result_uses) == []


def test_a_refused_post_is_a_dead_letter_and_the_others_are_tagged(server, tmp_path):
    with open_services_at(server, tmp_path / "home") as services:
        bring(services, 12)
        process_all(services, stages=("parse",), now=NOON + 1)
        server.behave(next={"blacklist": 1})
        process_all(services, stages=("tag",))
        (letter,) = rows(services, schema.worker_dlq)
        assert letter["error_class"] == "ProviderRejected"
        assert states(services, letter["source_key"])["tag"] == "failed"
        assert sum(row["state"] == "done" for row in of_stage(services, "tag")) == 11


def test_posts_are_tagged_as_fast_as_the_provider_answers(server, tmp_path):
    with open_services_at(server, tmp_path / "home") as services:
        bring(services, 250)
        process_all(services, stages=("parse",))
        server.behave(latency_s=0.3)
        started = time.monotonic()
        process_all(services, stages=("tag",))
        seconds = time.monotonic() - started
    assert server.most_at_once == 25
    assert seconds < 2 * 250 / 25 * 0.3
