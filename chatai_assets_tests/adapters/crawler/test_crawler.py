"""Web pages become text: the article, parsed in the sandbox and fetched politely."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import trafilatura

from chatai_assets.adapters.crawler.crawler import Crawler
from chatai_assets.adapters.crawler.exchange import WebResponse
from chatai_assets.adapters.crawler.fetcher import Fetcher
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.web_pages import WebLink, page_links
from chatai_assets_tests.support.hostile_web import ANSWERS, TIGHT_LIMITS, Internet, head

CORPUS = os.environ.get("CHATAI_CORPUS")


@pytest.mark.parametrize("name", ["article", "gzip", "deflate"])
def test_a_page_comes_with_its_title(net: Internet, pages: Crawler, name: str):
    (page,) = pages.read([WebLink(net.url(name))])
    assert page.error_code is None
    assert page.title == "Луна"
    assert page.text.startswith("Кратер на Луне весит больше")


def test_plain_text_is_a_page(net: Internet, pages: Crawler):
    assert pages.read([WebLink(net.url("text"))])[0].text == "Просто текст о Луне."


def test_a_long_text_is_cut(net: Internet, page_parser: ParserPool):
    with Crawler(page_parser, replace(TIGHT_LIMITS, text_chars=10), net.policy) as pages:
        assert pages.read([WebLink(net.url("article"))])[0].text == "Кратер на "


def test_an_unchanged_page_is_not_sent_again(net: Internet, pages: Crawler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ANSWERS, "known", head(304))
    url = net.url("known")
    (page,) = pages.read([WebLink(url, etag='"1"', modified="Tue, 24 Nov 2026 00:00:00 GMT")])
    assert page.unchanged
    assert page.etag == '"1"'
    assert net.site.asked[-1].headers["if-none-match"] == '"1"'
    assert net.site.asked[-1].headers["if-modified-since"] == "Tue, 24 Nov 2026 00:00:00 GMT"


def test_validators_are_stored_if_they_can_be_sent_back(net: Internet, pages: Crawler, monkeypatch: pytest.MonkeyPatch):
    article = ANSWERS["article"]
    for name, etag, kept in (("good", '"1"', '"1"'), ("odd", '"й"', None), ("long", '"' + "x" * 999 + '"', None)):
        answer = article.replace(b"200 X\r\n", b"200 X\r\nETag: " + etag.encode() + b"\r\n")
        monkeypatch.setitem(ANSWERS, name, answer)
        assert pages.read([WebLink(net.url(name))])[0].etag == kept


def test_requests_reveal_nothing_about_the_sender(net: Internet, pages: Crawler, monkeypatch: pytest.MonkeyPatch):
    cookie = ANSWERS["article"].replace(b"200 X\r\n", b"200 X\r\nSet-Cookie: a=b\r\n")
    monkeypatch.setitem(ANSWERS, "cookie", cookie)
    pages.read([WebLink(net.url("cookie"))])
    pages.read([WebLink(net.url("cookie"))])
    assert net.site.asked[-1].headers.keys() == {"host", "user-agent", "accept", "accept-encoding"}


def test_a_host_gets_one_request_at_a_time_with_a_delay(net: Internet, page_parser: ParserPool):
    with Crawler(page_parser, replace(TIGHT_LIMITS, crawl_delay_s=0.2), net.policy) as pages:
        started = time.monotonic()
        assert [page.error_code for page in pages.read([WebLink(net.url(f"article?{n}")) for n in range(4)])] == [
            None
        ] * 4
        assert time.monotonic() - started > 0.6
    assert [asked.path for asked in net.site.asked].count("/robots.txt") == 1


def test_tls_is_verified_for_the_name(net: Internet, page_parser: ParserPool, tls_site: tuple[int, ssl.SSLContext]):
    port, roots = tls_site
    policy = replace(net.policy, ports=frozenset({port}), permits=lambda _address, _port: True, tls=roots)
    with Crawler(page_parser, TIGHT_LIMITS, policy) as pages:
        right, wrong = pages.read(
            [WebLink(f"https://site.example:{port}/"), WebLink(f"https://other.site.example:{port}/")]
        )
    assert right.error_code is None
    assert wrong.error_code == "unreachable"


def test_only_links_to_pages_are_followed():
    links = [
        "https://t.me/channel/1",
        "https://a.example/#top",
        "https://a.example/",
        "https://[bad",
        "http://b.example",
    ]
    assert page_links(links, 3) == ("https://a.example/", "http://b.example")
    assert page_links([f"https://{n}.example" for n in range(9)], 3) == tuple(f"https://{n}.example" for n in range(3))


def f1(found: str, wanted: str) -> float:
    """Return the F1 of two texts as bags of words."""
    ours, theirs = (Counter(re.findall(r"\w+", text.lower())) for text in (found, wanted))
    return 2 * (ours & theirs).total() / max(1, ours.total() + theirs.total())


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS, reason="CHATAI_CORPUS is not set")
def test_articles_are_found_at_least_as_well_as_by_trafilatura_alone(page_parser: ParserPool):
    folder = Path(CORPUS or "") / "web"
    known = json.loads((folder / "ground-truth.json").read_text())
    truth = {name: entry["articleBody"] for name, entry in known.items()}
    paths = {name: folder / f"{name}.html" for name in truth}
    ours = [f1(page_parser.parse(path, "page.html", "page").text, truth[name]) for name, path in paths.items()]
    alone = [f1(trafilatura.extract(path.read_bytes()) or "", truth[name]) for name, path in paths.items()]
    print(f"token F1 of {len(truth)} pages: {sum(ours) / len(ours):.3f}, alone {sum(alone) / len(alone):.3f}")  # noqa: T201
    assert sum(ours) >= sum(alone)


def test_a_page_cancelled_at_any_point_delays_no_other(net: Internet):
    url = net.url("text")

    async def body(answer: WebResponse) -> bytes:
        return answer.body

    async def go() -> None:
        fetching = Fetcher(net.policy, replace(TIGHT_LIMITS, answers=1, crawl_delay_s=0.0))
        for turn in range(150):
            given_up = asyncio.create_task(fetching.fetch(url, {}, body))
            await asyncio.sleep(turn * 3e-5)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            assert await fetching.fetch(url, {}, body)
        fetching.close()

    asyncio.run(go())
