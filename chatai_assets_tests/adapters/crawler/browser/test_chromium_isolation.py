"""Untrusted scripts: none reaches an internal server, and none causes more requests than a page may make."""

from __future__ import annotations

import selectors
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright
from structlog.testing import capture_logs

from chatai_assets.adapters.crawler.browser.launch_flags import LAUNCH_ARGUMENTS
from chatai_assets.adapters.crawler.browser.process import find_chromium
from chatai_assets.adapters.crawler.crawler import Crawler
from chatai_assets.domain.web_pages import WebLink
from chatai_assets_tests.adapters.crawler.browser.conftest import PATIENT, Shown
from chatai_assets_tests.support.browser_pages import SENTENCE, attempts, scripted
from chatai_assets_tests.support.hostile_web import ANSWERS, INNER, Internet, redirect

LEAVING = {
    "location": "location = '{inner}'",
    "replaced": "location.replace('{inner}')",
    "form": "const form = document.createElement('form'); form.action = '{inner}'; form.method = 'post';"
    "document.body.append(form); form.submit()",
    "meta": "document.head.innerHTML += '<meta http-equiv=refresh content=\"0;url={inner}\">'",
}
ROUNDS_S = 0.1


class Trap:
    """Records what reaches an internal host other than its web server: over IPv6, and as datagrams."""

    def __init__(self, port: int) -> None:
        self.caught: list[str] = []
        self._doors = selectors.DefaultSelector()
        places = ((socket.AF_INET6, socket.SOCK_STREAM, "::1"), (socket.AF_INET, socket.SOCK_DGRAM, INNER))
        for family, kind, address in (*places, (socket.AF_INET6, socket.SOCK_DGRAM, "::1")):
            door = socket.socket(family, kind)
            door.bind((address, port))
            if kind == socket.SOCK_STREAM:
                door.listen()
            self._doors.register(door, selectors.EVENT_READ, kind)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._doors.select(ROUNDS_S):
                door = key.fileobj
                assert isinstance(door, socket.socket)
                self.caught.append(f"{key.data!r} at {door.getsockname()}")
                if key.data == socket.SOCK_STREAM:
                    door.accept()[0].close()
                else:
                    door.recv(2_000)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for key in list(self._doors.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._doors.close()


@contextmanager
def trapped(net: Internet) -> Iterator[None]:
    """Fail if anything reaches the internal host."""
    net.names |= {"inner.example": [INNER]}
    trap = Trap(net.site.port)
    try:
        yield
    finally:
        trap.close()
    assert trap.caught == []
    assert net.inner.connections == 0
    assert net.outside == []


def test_no_script_reaches_an_internal_server(net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ANSWERS, "hostile", scripted(attempts(net.site.port, INNER)))
    with trapped(net):
        (found,) = shown.read([WebLink(net.url("hostile"))])
    assert found.text.startswith(f"Достигнуто серверов: 0. {SENTENCE}")


@pytest.mark.parametrize("way", LEAVING)
def test_no_page_navigates_elsewhere(net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch, way: str):
    script = LEAVING[way].replace("{inner}", f"http://{INNER}:{net.site.port}/article")
    monkeypatch.setitem(ANSWERS, "leaving", scripted(f"write('{SENTENCE}'); {script}"))
    with trapped(net):
        shown.read([WebLink(net.url("leaving"))])


def test_a_browser_used_directly_reaches_nothing(net: Internet, browser: None, tmp_path: Path):
    """Here no request is intercepted and the network is that of this machine."""
    urls = [f"http://{host}:{net.site.port}/article" for host in (INNER, "[::1]", "localhost", "127.0.0.1")]
    with trapped(net), sync_playwright() as playwright:
        arguments = ["--no-sandbox", *LAUNCH_ARGUMENTS]
        opened = playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=find_chromium(), args=arguments
        )
        for url in urls:
            with pytest.raises(Error, match="ERR_"):
                opened.pages[0].goto(url)
        empty = opened.new_page()
        empty.evaluate(f"() => {{ const write = () => 0; {attempts(net.site.port, INNER)} }}")
        empty.wait_for_timeout(2_000)
        opened.close()
    assert net.site.connections == 0


def asks(monkeypatch: pytest.MonkeyPatch, paths: list[str], options: str = "{}") -> None:
    """Make ``/asking`` a page that requests these paths and shows the responses."""
    script = f"""
    const told = answer => answer.text().then(text => answer.status + ' ' + text.length, () => 'broken');
    Promise.all({paths}.map(path => fetch(path, {options}).then(told, () => 'nothing')))
        .then(all => write(`Ответы: ${{all.join(', ')}}. {SENTENCE}`))"""
    monkeypatch.setitem(ANSWERS, "asking", scripted(script))


def said(pages: Crawler, url: str) -> str:
    return pages.read([WebLink(url)])[0].text.partition(". ")[0]


def test_the_number_of_subresources_is_limited(net: Internet, showing: Shown, monkeypatch: pytest.MonkeyPatch):
    asks(monkeypatch, [f"/text?{n}" for n in range(9)])
    with showing(replace(PATIENT, subresources=3)) as pages:
        assert said(pages, net.url("asking")).count("nothing") == 6
    assert sum(asked.path.startswith("/text") for asked in net.site.asked) == 3


def test_the_size_of_subresources_is_limited(net: Internet, showing: Shown, monkeypatch: pytest.MonkeyPatch):
    asks(monkeypatch, [f"/article?{n}" for n in range(9)])
    with showing(replace(PATIENT, subresources_bytes=2_000)) as pages:
        assert said(pages, net.url("asking")).count("nothing") >= 6


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds private memory")
def test_the_memory_of_a_page_is_limited(net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch):
    taking = "for (;;) taken.push(new Uint8Array(1 << 26).fill(1))"
    script = f"const taken = []; try {{ {taking} }} catch {{}} write(`Взято: ${{taken.length * 64}}. {SENTENCE}`)"
    monkeypatch.setitem(ANSWERS, "greedy", scripted(script))
    with capture_logs() as logs:
        told = said(shown, net.url("greedy"))
    assert logs or 0 < int(told.removeprefix("Взято: ")) <= PATIENT.memory_bytes >> 20


def test_subresources_follow_the_rules_of_pages(net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch):
    port = net.site.port
    closed = f"http://robots-closed.example:{port}/robots-closed"
    paths = ["/gone", "/giant", "/bomb", closed, "/chain/6", "ftp://site.example/", f"http://site.example:{port}/text"]
    asks(monkeypatch, paths)
    answers = said(shown, net.url("asking"))
    assert answers == "Ответы: 404 0, nothing, nothing, nothing, nothing, nothing, 200 20"
    assert closed not in {f"http://{asked.headers['host']}{asked.path}" for asked in net.site.asked}


def test_only_get_requests_are_sent(net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch):
    asks(monkeypatch, ["/text"], "{method: 'POST', body: 'x'}")
    assert said(shown, net.url("asking")) == "Ответы: nothing"
    asks(monkeypatch, ["/text"], "{credentials: 'include', headers: {Authorization: 'x', Cookie: 'a=b'}}")
    assert said(shown, net.url("asking")) == "Ответы: 200 20"
    allowed = {"host", "user-agent", "accept", "accept-encoding", "origin"}
    assert set().union(*(asked.headers for asked in net.site.asked)) <= allowed


def test_a_cross_origin_subresource_sends_the_origin_of_the_page(
    net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch
):
    answer = ANSWERS["text"].replace(b"200 X\r\n", b"200 X\r\nAccess-Control-Allow-Origin: *\r\nSet-Cookie: a=b\r\n")
    monkeypatch.setitem(ANSWERS, "open", answer)
    asks(monkeypatch, [net.url("open", "data.site.example")])
    assert said(shown, net.url("asking")) == "Ответы: 200 20"
    (asked,) = [asked for asked in net.site.asked if asked.path == "/open"]
    assert asked.headers["origin"] == net.url("").rstrip("/")


def test_a_page_does_not_see_the_target_of_a_redirect(net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ANSWERS, "inwards", redirect(f"http://{INNER}:{net.site.port}/article"))
    asks(monkeypatch, ["/inwards"])
    with trapped(net):
        assert said(shown, net.url("asking")) == "Ответы: nothing"
