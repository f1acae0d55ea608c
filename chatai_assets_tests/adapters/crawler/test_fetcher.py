"""Untrusted links: none reaches an internal address, and each stays within its limits."""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chatai_assets.adapters.crawler.crawler import Crawler
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.web_pages import FAULTS, WebLink
from chatai_assets_tests.support.hostile_web import ANSWERS, INNER, TIGHT_LIMITS, Internet

SLACK_S = 5.0
IN_FLIGHT = 8 << 20
"""Bytes that buffers between two sockets may hold when one side stops reading."""
INNER_ADDRESSES = [
    *("0.0.0.0", "127.0.0.2", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1"),  # noqa: S104 (a target)
    *("169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("224.0.0.1", "224.0.1.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.2", "::ffff:7f00:2", "::ffff:8.8.8.8", "::127.0.0.2", "::ffff:0:127.0.0.2"),
    *("64:ff9b::7f00:2", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:2", "2002:7f00:2::", "2002:a9fe:a9fe::1"),
    *("2001:0:7f00:2::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1"),
]
SPELLINGS = [
    *("127.2", "127.0.2", "2130706434", "0x7f000002", "0x7f.0.0.2", "0x7f.2", "0177.0.0.2", "017700000002", "0"),
    *("127.0.0.2.", "127.000.000.002", "127.0.0.2%00", "127%2e0%2e0%2e2", "%31%32%37.0.0.2", "127。0。0。2"),
    *("①②⑦.⓪.⓪.②", "１２７.0.0.2", "localhost", "LOCALHOST", "localhost.", "site", "[127.0.0.2]"),
    *("[::ffff:127.0.0.2%25lo]", "[fe80::1%25lo]", "[fe80::1%lo]", "[::1", "::1", "0x7f.0.0.0x2", "127.0.0.0x2"),
    *("user@127.0.0.2", "user:password@127.0.0.2", "site.example@127.0.0.2", "site.example%40127.0.0.2"),
    *("127.0.0.2\\@site.example", "127.0.0.2#@site.example", "site.example\t", "a..b", "-a.example", ".example"),
]
SCHEMES = [
    *("file:///etc/passwd", "ftp://site.example/", "gopher://127.0.0.2:6379/_INFO", "javascript:alert(1)"),
    *("data:text/html,<p>x", "ws://site.example/", "//site.example/", "http:/site.example", "http://", "http:///x"),
    *("", "unix:///var/run/docker.sock", "dict://127.0.0.2:11211/stat", "jar:http://site.example!/", "x" * 5_000),
    "http://site.example/\r\nHost: inner.example",
]
CLOSED_PORTS = [0, 1, 22, 25, 6379, 9200, 11211, 65535, 65536, 99999, -1]
TARGETS = [
    *("http://127.0.0.2:{port}/article", "//127.0.0.2:{port}/article", "http://127.2:{port}/", "http://2130706434/"),
    *("http://[::ffff:127.0.0.2]:{port}/", "http://inner.example:{port}/article", "http://169.254.169.254/latest/"),
    *("http://[::1]:{port}/", "http://0.0.0.0:{port}/", "http://user@127.0.0.2:{port}/", "http://site.example:22/"),
    *("https://127.0.0.2:{port}/", "http://mixed.example:{port}/"),
]
BEHAVIOURS = {
    **dict.fromkeys(["gone", "forbidden", "teapot"], "gone"),
    **dict.fromkeys(["broken", "busy", "throttled"], "unavailable"),
    **dict.fromkeys(["nothing", "unasked-304", "partial", "empty", "blank", "no-location"], "no_text"),
    **dict.fromkeys(["pdf", "image", "json", "xml", "script", "octets", "typeless", "many-types"], "wrong_type"),
    **dict.fromkeys(["brotli", "twice-packed"], "wrong_type"),
    **dict.fromkeys(["binary-text", "not-gzip"], "unreadable"),
    **dict.fromkeys(["bomb", "deflate-bomb", "endless", "endless-chunks", "giant"], "too_large"),
    **dict.fromkeys(["silent", "half", "drip", "drip-head", "hints"], "too_slow"),
    **dict.fromkeys(["no-http", "bad-length", "two-lengths", "short-body", "bad-chunk"], "unreachable"),
    **dict.fromkeys(["header-flood", "long-header"], "unreachable"),
    **dict.fromkeys(["to-file", "to-gopher", "to-user", "to-nonsense", "to-long"], "bad_address"),
    **dict.fromkeys(["302/loop", "chain/6", "301/302/article"], None),
}
STRANGE = {"deep", "entities", "binary-html", "to-split"}
GOOD = {"article", "text", "gzip", "deflate"}
ROBOTS = {
    "robots-closed": "robots",
    "robots-ours": "robots",
    "robots-partly": "robots",
    "robots-broken": "unavailable",
    "robots-inside": "forbidden",
    "robots-huge": "robots",
}


@pytest.fixture
def calm(net: Internet, pages: Crawler) -> Iterator[Internet]:
    """The small internet; afterwards checks that only its site was connected to."""
    net.names |= {"inner.example": [INNER], "mixed.example": ["127.0.0.1", INNER]}
    yield net
    assert net.outside == []
    assert net.inner.connections == 0


def fault_of(pages: Crawler, url: str) -> str | None:
    """Read one link within its time limit and return the error code."""
    started = time.monotonic()
    (page,) = pages.read([WebLink(url)])
    assert time.monotonic() - started < TIGHT_LIMITS.link_s + SLACK_S
    assert page.error_code is None or page.error_code in FAULTS
    assert (page.text == "") == (page.error_code is not None)
    return page.error_code


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@pytest.mark.parametrize("address", INNER_ADDRESSES)
def test_no_internal_address_is_connected_to(calm: Internet, pages: Crawler, address: str):
    calm.names["name.example"] = [address]
    for host in (bracketed(address), "name.example"):
        assert fault_of(pages, f"http://{host}:{calm.site.port}/article") == "forbidden"
    assert calm.connected == []


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_a_host_reaches_an_internal_address(calm: Internet, pages: Crawler, host: str):
    assert fault_of(pages, f"http://{host}:{calm.site.port}/article") in {"bad_address", "forbidden"}
    assert calm.connected == []


@pytest.mark.parametrize("url", SCHEMES)
def test_only_http_urls_are_fetched(calm: Internet, pages: Crawler, url: str):
    assert fault_of(pages, url) == "bad_address"
    assert calm.connected == []


@pytest.mark.parametrize("port", CLOSED_PORTS)
def test_only_ports_of_web_pages_are_allowed(calm: Internet, pages: Crawler, port: int):
    assert fault_of(pages, f"http://site.example:{port}/") in {"bad_address", "forbidden"}
    assert calm.connected == []


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("status", [301, 307])
def test_no_redirect_reaches_an_internal_address(calm: Internet, pages: Crawler, status: int, target: str):
    link = calm.url(f"{status}/{target.format(port=calm.site.port)}")
    assert fault_of(pages, link) in {"bad_address", "forbidden"}


@pytest.mark.parametrize("behaviour", [name for name, fault in BEHAVIOURS.items() if fault])
def test_every_response_stays_within_its_limits(calm: Internet, pages: Crawler, behaviour: str):
    assert fault_of(pages, calm.url(behaviour)) == BEHAVIOURS[behaviour]
    assert calm.site.sent < TIGHT_LIMITS.wire_bytes + IN_FLIGHT


@pytest.mark.parametrize("behaviour", sorted(STRANGE))
def test_a_strange_page_ends_with_a_result_or_an_error(calm: Internet, pages: Crawler, behaviour: str):
    fault_of(pages, calm.url(behaviour))


def test_a_name_is_resolved_once_a_connection_and_every_result_is_checked(calm: Internet, pages: Crawler):
    calm.names["rebind.example"] = ["127.0.0.1", INNER]
    assert fault_of(pages, calm.url("article", "rebind.example")) == "forbidden"
    assert calm.resolved == ["rebind.example"] * 2
    assert [asked.path for asked in calm.site.asked] == ["/robots.txt"]


def test_a_name_with_one_internal_address_is_refused(calm: Internet, pages: Crawler):
    assert fault_of(pages, calm.url("article", "mixed.example")) == "forbidden"
    assert calm.connected == []


def test_a_proxy_from_the_environment_is_not_used(calm: Internet, page_parser: ParserPool, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{INNER}:{calm.site.port}")
    with Crawler(page_parser, TIGHT_LIMITS, calm.policy) as pages:
        assert fault_of(pages, calm.url("article")) is None


def test_redirects_are_followed_as_far_as_their_limit(calm: Internet, pages: Crawler):
    assert fault_of(pages, calm.url("chain/5")) is None
    assert fault_of(pages, calm.url("chain/6")) == "too_many_hops"
    assert fault_of(pages, calm.url(f"302//{'302/' * 9}")) == "too_many_hops"


@pytest.mark.parametrize("site", ROBOTS)
def test_a_page_that_robots_txt_disallows_is_not_requested(calm: Internet, pages: Crawler, site: str):
    assert fault_of(pages, calm.url(site, f"{site}.example")) == ROBOTS[site]
    assert {asked.path for asked in calm.site.asked} == {"/robots.txt"}


@pytest.mark.parametrize("site", ["robots-loop", "robots-stars"])
def test_an_empty_robots_file_allows_everything(calm: Internet, pages: Crawler, site: str):
    assert fault_of(pages, calm.url(site, f"{site}.example")) is None


def test_a_decompression_bomb_takes_little_memory(calm: Internet, pages: Crawler):
    tracemalloc.start()
    try:
        for name in ("bomb", "deflate-bomb", "giant"):
            assert fault_of(pages, calm.url(name)) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < IN_FLIGHT
    finally:
        tracemalloc.stop()


def test_a_slow_host_delays_no_other(calm: Internet, page_parser: ParserPool):
    limits = replace(TIGHT_LIMITS, silence_s=4.0)  # three of the slow pages take all the time there is
    slow = [WebLink(calm.url(f"silent/{n}", "slow.site.example")) for n in range(40)]
    quick = [WebLink(calm.url("article", f"quick{n}.site.example")) for n in range(40)]
    with Crawler(page_parser, limits, calm.policy) as pages:
        found = pages.read([*slow, *quick])
    assert [page.error_code for page in found[40:]] == [None] * 40
    assert {page.error_code for page in found[:40]} == {"too_slow", "not_asked"}


def test_there_are_at_least_a_hundred_cases():
    doubled, single = (INNER_ADDRESSES, TARGETS), (SPELLINGS, SCHEMES, [*BEHAVIOURS], [*ROBOTS])
    assert 2 * sum(len(cases) for cases in doubled) + sum(len(cases) for cases in single) >= 100
    assert ANSWERS.keys() - BEHAVIOURS.keys() == GOOD | STRANGE


def test_the_test_internet_detects_connections_to_the_internal_server(net: Internet):
    with socket.create_connection((INNER, net.site.port)) as connection:
        connection.sendall(b"GET /article HTTP/1.1\r\nHost: a.example:1\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert net.outside == [(INNER, net.site.port)]
    assert net.inner.connections == 1
