"""What calls cost is written down, whatever comes of the batch; budgets pause a tenant, and nobody else."""

import multiprocessing
import time
from collections import Counter

import pytest

from chatai_assets.domain import retry as retries
from chatai_assets.domain.costs import Budget, day_of, next_day
from chatai_assets.domain.errors import AllBudgetsExceeded, ProviderUnreachable
from chatai_assets.operations.status import cost_report
from chatai_assets.pipeline.budgets import resume_deferred
from chatai_assets.services import Services
from chatai_assets.settings import read_settings
from chatai_assets.storage import schema
from chatai_assets_tests.support.pipeline import (
    Limits,
    due_hours,
    ingest_posts,
    message,
    process_all,
    rows,
    run,
    stage_run_config,
)
from chatai_assets_tests.support.providers.home import model_inputs, open_services_at
from chatai_assets_tests.support.providers.server import provider_server

PRICES = {"CHATAI_PRICES": "GigaChat=100/200,Embeddings=10", "CHATAI_USD_RATE": "80"}
CHAT_NANO = 17 * 100_000 + 3 * 200_000


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_CALL_BACKOFF_S", 0.01)
    with provider_server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    return {} if request.param == "sqlite" else {"DATABASE_URL": request.getfixturevalue("database_url")}


def bring(services, count, tenant="default", first=1):
    """Bring posts in, and parse them; return their hour."""
    texts = [message(number, f"Вчера поезд {number} видел город Казань.") for number in range(first, first + count)]
    ingest_posts(services, texts, tenant=tenant)
    process_all(services, stages=("parse",))
    return due_hours(services, "posts")[0]


def tag(services, hour, **limits):
    return run("tag", stage_run_config("posts", hour, Limits(**limits)), services)


def costs(services, stage):
    return {row["tenant_id"]: row for row in rows(services, schema.provider_costs) if row["stage"] == stage}


def tag_states(services, tenant):
    mine = (schema.work.c.stage == "tag", schema.work.c.tenant_id == tenant)
    return Counter((row["state"], row["attempts"], row["error_class"]) for row in rows(services, schema.work, *mine))


def test_tokens_and_money_are_counted_by_tenant_stage_and_hour(server, tmp_path, database):
    with open_services_at(server, tmp_path / "home", **PRICES, **database) as services:
        bring(services, 5)
        hour = bring(services, 3, tenant="another")
        report = sum((report.counts for report in process_all(services)), Counter())
        tagged, embedded, enriched = (costs(services, stage) for stage in ("tag", "embed", "enrich"))
        today = cost_report(services.records, 1, None, time.time())
    assert {row["hour"] for row in rows_of(tagged, embedded, enriched)} == {hour}
    assert {row["day"] for row in rows_of(tagged)} == {day_of(time.time())}
    assert (tagged["default"]["prompt_tokens"], tagged["default"]["completion_tokens"]) == (5 * 17, 5 * 3)
    assert tagged["another"]["money_nano"] == 3 * CHAT_NANO
    assert (embedded["default"]["embedding_tokens"], embedded["default"]["money_nano"]) == (5 * 7, 5 * 7 * 10_000)
    assert enriched["default"]["money_nano"] == 5 * 8_000_000  # of OpenRouter's own word, in dollars
    assert sum(row["calls"] for row in rows_of(tagged, embedded, enriched)) == server.counts()["model_calls"]
    assert report["provider_money_nano"] == sum(row["money_nano"] for row in rows_of(tagged, embedded, enriched))
    assert today["total"]["money"] == pytest.approx(report["provider_money_nano"] / 1e9)
    assert today["total"]["tokens"] == report["provider_tokens"]


def rows_of(*by_tenant):
    return [row for found in by_tenant for row in found.values()]


def test_a_price_that_nobody_knows_is_no_money(server, tmp_path):
    with open_services_at(server, tmp_path / "home") as services:
        services.tagger.tag(model_inputs("Вчера поезд видел город Казань"))
        (told,) = cost_report(services.records, 1, None, time.time())["costs"]
    assert (told["stage"], told["tokens"], told["unpriced_tokens"], told["money"]) == ("search", 20, 20, None)


def test_doing_an_hour_again_makes_no_call_and_counts_its_hits(server, tmp_path):
    with open_services_at(server, tmp_path / "home") as services:
        hour = bring(services, 6)
        tag(services, hour)
        calls = server.counts()["model_calls"]
        with services.records.begin() as connection:
            connection.execute(schema.work.update().values(state="pending", next_attempt_at=0))
    with open_services_at(server, tmp_path / "home") as services:
        report = tag(services, hour)
        row = costs(services, "tag")["default"]
    assert server.counts()["model_calls"] == calls
    assert (row["calls"], row["hits"], row["misses"]) == (6, 6, 6)
    assert (report.counts["store_hits"], report.counts["misses"], report.counts["provider_calls"]) == (6, 0, 0)
    assert (report.hour_costs["hits"], report.hour_costs["kept_answers"]) == (6, 6)


def test_what_was_paid_before_an_outage_is_counted(server, tmp_path):
    with open_services_at(server, tmp_path / "home", JOB_CONCURRENCY="1") as services:
        hour = bring(services, 20)
        tag(services, hour, run_items=5, batch_items=5)
        server.behave(shares={"503": 1.0}, next={"not_json": 3})
        with pytest.raises(ProviderUnreachable):
            tag(services, hour)
        row = costs(services, "tag")["default"]
    assert row["prompt_tokens"] == 17 * (5 + 3)
    assert row["calls"] == server.counts()["model_calls"]


def test_a_budget_pauses_its_tenant_and_nobody_else(server, tmp_path, database):
    budget = {"CHATAI_BUDGET_TOKENS_DAY": "200", "JOB_CONCURRENCY": "3"}
    with open_services_at(server, tmp_path / "home", **budget, **database) as services:
        bring(services, 30, tenant="rich")
        hour = bring(services, 4, tenant="poor")
        report = tag(services, hour)
        assert (report.done, dict(report.retried)) == (14, {"OverBudget": 20})
        assert (
            costs(services, "tag")["rich"]["prompt_tokens"] + costs(services, "tag")["rich"]["completion_tokens"] == 200
        )
        assert tag_states(services, "poor") == {("done", 0, None): 4}
        assert tag_states(services, "rich") == {("done", 0, None): 10, ("pending", 0, "OverBudget"): 20}
        waiting = [row["next_attempt_at"] for row in rows(services, schema.work) if row["error_class"] == "OverBudget"]
        assert all(abs(at - next_day(time.time())) < 30 for at in waiting)
        assert tag(services, hour).taken == 0
    assert server.counts()["model_calls"] == 14


def test_a_run_that_finds_nothing_but_spent_budgets_says_so_once_and_a_raise_resumes(server, tmp_path):
    budget = {"CHATAI_BUDGET_DAY": "0.0046", "JOB_CONCURRENCY": "1", **PRICES}
    with open_services_at(server, tmp_path / "home", **budget) as services:
        hour = bring(services, 2, tenant="acme")
        tag(services, hour)
        bring(services, 3, tenant="acme", first=10)
        with pytest.raises(
            AllBudgetsExceeded, match=r"tenant 'acme' has spent 0\.0046 of 0\.0046 \(money\).*00:00 UTC"
        ):
            tag(services, hour)
        bring(services, 1, tenant="acme", first=20)
        assert dict(tag(services, hour).retried) == {"OverBudget": 1}
        now = time.time()
        assert resume_deferred(services.records, "posts", services.settings.costs.budget, now) == {"acme": 4}
        assert resume_deferred(services.records, "posts", Budget(money_nano=10**12), now) == {}
        assert resume_deferred(services.records, "posts", Budget(), now) == {}
    with open_services_at(server, tmp_path / "home", **PRICES) as services:
        assert tag(services, hour).done == 4


def _tag_texts(environment, tenant, first, count):
    with Services(read_settings(environment)) as services:
        services.tagger.tag(
            model_inputs(*(f"Вчера поезд {first + n} видел город Казань" for n in range(count)), tenant=tenant)
        )


def in_two_processes(environment, tenant, count):
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=_tag_texts, args=(environment, tenant, 1_000 * number, count)) for number in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0, 0]


def environment_of(server, home, **variables):
    return {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free", "CHATAI_TAGGER": "gigachat"} | {
        **server.environment(),
        **variables,
    }


def test_two_processes_keep_to_one_budget(server, tmp_path):
    server.behave(latency_s=0.02)
    variables = {"CHATAI_BUDGET_TOKENS_DAY": "400", "JOB_CONCURRENCY": "4"}
    in_two_processes(environment_of(server, tmp_path, **variables), "t", 60)
    assert 20 <= server.counts()["model_calls"] <= 20 + 4


def test_two_processes_share_the_streams_of_an_account(server, tmp_path):
    server.behave(latency_s=0.02)
    in_two_processes(environment_of(server, tmp_path, GIGACHAT_STREAMS="2"), "t", 20)
    assert server.counts()["model_calls"] == 40
    assert server.most_at_once == 2


def test_two_processes_keep_to_one_quota_of_tokens(server, tmp_path):
    quota = {"CHATAI_QUOTA_TOKENS_DAY": "1500", "CHATAI_QUOTA_PATIENCE_S": "2", "JOB_CONCURRENCY": "4"}
    in_two_processes(environment_of(server, tmp_path, **quota), "t", 60)
    used = server.counts()["model_calls"] * 20
    assert 600 <= used <= 1_500
