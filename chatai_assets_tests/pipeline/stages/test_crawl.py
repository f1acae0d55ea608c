"""Pages that posts link to are found as their posts', and never stand in a post's way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chatai_assets.adapters.crawler.crawler import Crawler
from chatai_assets.domain.errors import ProviderBusy, ProviderRejected
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.stages import PIPELINE_STAGES, STAGES
from chatai_assets.domain.web_pages import WebLink
from chatai_assets.pipeline.stages.crawl import FRESH_S, PATIENCE_S
from chatai_assets.storage import schema
from chatai_assets_tests.support.hostile_web import ANSWERS, TIGHT_LIMITS, head, page, run_internet
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    Limits,
    contents,
    find_chunks,
    find_inconsistencies,
    ingest_posts,
    load_payloads,
    message,
    process_all,
    rows,
    run,
    stage_run_config,
    states,
)

POST = f"tg/{CHAT}/1"
HOUR = "2026-09-21-14:00"
OTHER = page("<article><p>Совсем другая статья рассказывает о мостах Петербурга.</p></article>".encode())
DONE = dict.fromkeys(PIPELINE_STAGES, "done")


@pytest.fixture
def net():
    with run_internet() as made:
        yield made


PATIENT = replace(TIGHT_LIMITS, connect_s=5.0, silence_s=5.0, page_s=10.0, link_s=20.0)
"""The server of the tests shares the machine with everything else."""


def crawling(services, net, limits=PATIENT):
    """Let a home read pages of the small internet."""
    return services._closing.enter_context(Crawler(services.parser, limits, net.policy))  # noqa: SLF001


@pytest.fixture
def home(services, net):
    services.__dict__["pages"] = crawling(services, net)
    return services


@pytest.fixture
def small(embedded, net):
    """The same on embedded stores."""
    embedded.__dict__["pages"] = crawling(embedded, net)
    return embedded


def crawl(services, now=NOON, **limits):
    """Read pages, and do what follows from them."""
    report = run("crawl", stage_run_config("posts", HOUR, Limits(**limits), now=now), services)
    process_all(services, stages=["embed", "index"], limits=Limits(**limits), now=now)
    return report


def post(net, *paths, number=1, edited=None, words="Смотрите"):
    return message(number, " ".join([words, *map(net.url, paths)]), edited=edited)


def parts_of(services, source=POST):
    return {hit["part"] for hit in load_payloads(services, source)}


def test_a_post_is_found_before_its_page_and_by_its_page_after(home, net):
    ingest_posts(home, [post(net, "article")])
    process_all(home, now=NOON)
    assert parts_of(home) == {"body"}
    assert net.site.asked == []
    report = crawl(home)
    assert (report.done, report.counts["pages_read"]) == (1, 1)
    assert states(home, POST) == DONE
    found = find_chunks(home, "кратер на луне весит", limit=1)
    assert [(hit.source, hit.title, hit.url) for hit in found] == [(POST, "Луна", net.url("article"))]
    assert found[0].text.startswith("Кратер на Луне весит больше")
    assert find_inconsistencies(contents(home)) == []


def test_an_edit_that_removes_the_link_removes_the_page(home, net):
    ingest_posts(home, [post(net, "article")])
    process_all(home, now=NOON)
    crawl(home)
    assert len(parts_of(home)) == 2
    ingest_posts(home, [message(1, "Больше не смотрите", edited=1_700_000_100)])
    process_all(home, now=NOON)
    crawl(home)
    assert parts_of(home) == {"body"}
    assert rows(home, schema.post_enrichment, schema.post_enrichment.c.kind == "crawl")[0]["value"] == {"pages": []}
    assert find_inconsistencies(contents(home)) == []


def test_an_edit_that_keeps_the_link_costs_no_visit_and_no_embedding(small, net):
    ingest_posts(small, [post(net, "article")])
    process_all(small, now=NOON)
    crawl(small)
    asked, vectors = len(net.site.asked), len(rows(small, schema.vectors))
    ingest_posts(small, [post(net, "article", words="Прочтите", edited=1_700_000_100)])
    process_all(small, now=NOON)
    crawl(small)
    assert len(parts_of(small)) == 2
    assert (len(net.site.asked), len(rows(small, schema.vectors))) == (asked, vectors + 1)


def test_a_page_is_asked_again_with_its_validator_and_read_again_when_it_changed(small, net, monkeypatch):
    first = ANSWERS["article"].replace(b"200 X\r\n", b'200 X\r\nETag: "1"\r\n')
    monkeypatch.setitem(ANSWERS, "news", first)
    ingest_posts(small, [post(net, "news")])
    process_all(small, now=NOON)
    crawl(small)
    before = parts_of(small)
    for number, answer in ((2, head(304)), (3, OTHER)):
        monkeypatch.setitem(ANSWERS, "news", answer)
        ingest_posts(small, [post(net, "news", number=number)])
        process_all(small, now=NOON)
        crawl(small, now=NOON + number * FRESH_S)
    assert net.site.asked[-1].headers["if-none-match"] == '"1"'
    assert parts_of(small, f"tg/{CHAT}/2") == before
    assert parts_of(small, f"tg/{CHAT}/3") != before


def test_links_to_the_same_text_are_one_part_and_embedded_once(small, net):
    ingest_posts(small, [post(net, "article", "gzip", "deflate?2"), post(net, "article?3", number=2)])
    process_all(small, now=NOON)
    vectors = len(rows(small, schema.vectors))
    crawl(small)
    assert len(load_payloads(small, POST)) == 2
    assert parts_of(small) == parts_of(small, f"tg/{CHAT}/2")
    assert len(rows(small, schema.vectors)) == vectors + 1


@pytest.mark.parametrize("path", ["gone", "bomb", "pdf", "blank", "to-file", "302/http://127.0.0.1:1/"])
def test_a_page_that_cannot_be_had_leaves_its_post_as_it_is(small, net, path):
    ingest_posts(small, [post(net, path, "article")])
    process_all(small, now=NOON)
    crawl(small)
    assert states(small, POST) == DONE
    assert len(parts_of(small)) == 2
    assert rows(small, schema.worker_dlq) == []


def test_a_page_that_may_come_later_is_tried_again_and_given_up_in_the_end(small, net):
    ingest_posts(small, [post(net, "busy")])
    process_all(small, now=NOON)
    assert crawl(small, max_attempts=2).retried == {"PageUnavailable": 1}
    assert parts_of(small) == {"body"}
    assert crawl(small, now=NOON + 3_600, max_attempts=2).done == 1
    assert states(small, POST) == DONE
    assert rows(small, schema.worker_dlq) == []


def test_a_page_that_was_read_stays_while_its_site_is_down(small, net, monkeypatch):
    monkeypatch.setitem(ANSWERS, "news", ANSWERS["article"])
    ingest_posts(small, [post(net, "news")])
    process_all(small, now=NOON)
    crawl(small)
    monkeypatch.setitem(ANSWERS, "news", ANSWERS["busy"])
    ingest_posts(small, [post(net, "news", words="Снова", edited=1_700_000_100)])
    process_all(small, now=NOON)
    assert crawl(small, now=NOON + 2 * FRESH_S).done == 1
    assert len(parts_of(small)) == 2


def test_a_page_whose_turn_does_not_come_uses_no_attempt_and_is_waited_for_a_day(embedded, net):
    embedded.__dict__["pages"] = crawling(embedded, net, replace(TIGHT_LIMITS, crawl_delay_s=9.0, link_s=5.0))
    crawling(embedded, net).read([WebLink(net.url("article"))])  # a parser child takes its time to start
    ingest_posts(embedded, [post(net, f"article?{n}", number=n) for n in range(1, 4)])
    process_all(embedded, now=NOON)
    report = crawl(embedded)
    assert (report.done, report.retried) == (1, {"NotAsked": 2})
    waiting = [row for row in rows(embedded, schema.work) if row["stage"] == "crawl" and row["state"] == "pending"]
    assert [row["attempts"] for row in waiting] == [0, 0]
    embedded.__dict__["pages"] = crawling(embedded, net, replace(TIGHT_LIMITS, link_s=0.01))
    assert crawl(embedded, now=NOON + PATIENCE_S + 1, max_attempts=1).done == 2


class Picky:
    """An embedder that does not take what pages say."""

    def __init__(self, embedder, error):
        self.asked, self.error = embedder, error
        self.model, self.dimensions = embedder.model, embedder.dimensions

    def embed(self, questions):
        return [self.error if "Кратер" in each.text else self.asked.embed([each])[0] for each in questions]


@pytest.mark.parametrize("error", [ProviderRejected("no"), ProviderBusy("later")], ids=["refused", "busy"])
def test_a_page_that_cannot_be_embedded_does_not_hide_its_post(small, net, error):
    ingest_posts(small, [post(net, "article")])
    process_all(small, now=NOON)
    small.__dict__["embedder"] = Picky(small.embedder, error)
    for attempt in range(3):
        crawl(small, now=NOON + attempt * 3_600, max_attempts=2)
    assert states(small, POST) == DONE
    assert parts_of(small) == {"body"}


def test_names_are_those_of_the_post_alone(small, net):
    ingest_posts(small, [post(net, "article")])
    process_all(small, now=NOON)
    crawl(small)
    before = rows(small, schema.entities)
    run("enrich", stage_run_config("posts", HOUR, now=NOON, only=ItemKey("default", POST)), small)
    assert rows(small, schema.entities) == before


def test_nothing_is_asked_where_pages_are_not_wanted(embedded, net):
    ingest_posts(embedded, [post(net, "article")])
    process_all(embedded, now=NOON)
    assert embedded.pages is None
    assert crawl(embedded).taken == 0
    assert "crawl" not in states(embedded, POST)
    assert net.site.connections == 0


def test_what_waits_for_pages_is_let_go_when_they_are_no_longer_wanted(small, net):
    ingest_posts(small, [post(net, "busy")])
    process_all(small, now=NOON)
    crawl(small)
    assert states(small, POST)["crawl"] == "pending"
    small.__dict__["pages"] = None
    crawl(small)
    assert "crawl" not in states(small, POST)


def test_a_post_without_links_does_not_wait_for_pages(small, net):
    ingest_posts(small, [message(1, "Без ссылок")])
    process_all(small, now=NOON)
    assert crawl(small).taken == 0


def test_posts_are_indexed_before_their_pages_are_read():
    assert STAGES["enrich"].priority < STAGES["index"].priority < STAGES["tag"].priority
