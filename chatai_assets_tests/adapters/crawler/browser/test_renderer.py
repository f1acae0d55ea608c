"""Pages whose text is written by scripts are read; a page that fails to render is read as it was fetched."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from structlog.testing import capture_logs

from chatai_assets.adapters.crawler.browser.limits import BrowserLimits
from chatai_assets.adapters.crawler.browser.process import MODULE
from chatai_assets.adapters.crawler.crawler import Crawler
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.web_pages import WebLink
from chatai_assets.observability import PAGE_NOT_SHOWN
from chatai_assets_tests.adapters.crawler.browser.conftest import LIMITS, PATIENT, Shown
from chatai_assets_tests.support.browser_pages import PLAIN, SENTENCE, scripted
from chatai_assets_tests.support.hostile_web import ANSWERS, Internet, page

SLACK_S = 15.0
PARTS = f"fetch('/text').then(answer => answer.text()).then(text => write(text + ' {SENTENCE}'))"
NEVER = {
    "blocked": scripted("", f"<p>{PLAIN}</p>" * 3, "<script src=/part></script>" * 9),
    "busy": scripted("while (true) {}", f"<p>{PLAIN}</p>" * 3),
}
"""Pages that never load; the first one only while each of its subresources is waited for."""


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "written", scripted(PARTS))
    monkeypatch.setitem(ANSWERS, "polling", scripted(f"write('{SENTENCE}'); fetch('/silent')"))
    for name, answer in NEVER.items():
        monkeypatch.setitem(ANSWERS, name, answer.replace(b"/part", b"/silent"))


@pytest.fixture
def temporary() -> Iterator[Path]:
    """An empty folder with a short path; Chromium creates sockets in it, whose paths may have a hundred characters."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def text_of(pages: Crawler, url: str) -> str:
    (found,) = pages.read([WebLink(url)])
    assert found.error_code is None
    return found.text


@contextmanager
def nothing_refused_to_be_shown() -> Iterator[None]:
    with capture_logs() as logs:
        yield
    assert [line for line in logs if line["event"] == PAGE_NOT_SHOWN] == []


def browsers() -> list[psutil.Process]:
    """Return the Chromium processes among the descendants of this one."""
    below = psutil.Process().children(recursive=True)
    known = [(each, each.as_dict(["name", "status"])) for each in below if each.is_running()]
    return [each for each, told in known if "chrom" in told["name"] and told["status"] != psutil.STATUS_ZOMBIE]


def test_text_written_by_scripts_is_read(net: Internet, shown: Crawler):
    assert text_of(shown, net.url("written")).startswith(f"Просто текст о Луне. {SENTENCE}")
    assert [asked.path for asked in net.site.asked] == ["/robots.txt", "/written", "/text"]
    assert net.outside == []


def test_without_a_browser_such_a_page_has_no_text(net: Internet, pages: Crawler):
    assert pages.read([WebLink(net.url("written"))])[0].error_code == "no_text"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces")
def test_a_browser_has_no_network(net: Internet, shown: Crawler):
    text_of(shown, net.url("article"))
    networks = {Path(f"/proc/{each.pid}/ns/net").readlink() for each in browsers()}
    assert networks
    assert Path("/proc/self/ns/net").readlink() not in networks
    devices = Path(f"/proc/{browsers()[0].pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def test_plain_text_is_not_rendered(net: Internet, shown: Crawler):
    assert text_of(shown, net.url("text")) == "Просто текст о Луне."
    assert browsers() == []


def test_pages_in_other_encodings_are_decoded_correctly(net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch):
    html = f"<meta charset=windows-1251><body><article><p>{PLAIN}</p></article>".encode("cp1251")
    monkeypatch.setitem(ANSWERS, "old", page(html))
    assert text_of(shown, net.url("old")) == PLAIN


def test_a_page_of_a_tls_site_is_rendered(
    net: Internet, page_parser: ParserPool, tls_site: tuple[int, ssl.SSLContext], browser: None
):
    port, roots = tls_site
    policy = replace(net.policy, ports=frozenset({port}), permits=lambda _address, _port: True, tls=roots)
    with nothing_refused_to_be_shown(), Crawler(page_parser, LIMITS, policy, PATIENT) as pages:
        assert text_of(pages, f"https://site.example:{port}/").startswith("Кратер на Луне")


def test_many_pages_share_a_browser(net: Internet, shown: Crawler):
    with nothing_refused_to_be_shown():
        found = shown.read([WebLink(net.url("written", f"site{n}.site.example")) for n in range(6)])
    assert all(SENTENCE in each.text for each in found)
    assert len([child for child in psutil.Process().children() if MODULE in child.cmdline()]) == 1


def test_pages_share_no_cookies_or_storage(net: Internet, shown: Crawler, monkeypatch: pytest.MonkeyPatch):
    script = f"""
    write(`Было: ${{document.cookie.includes('mark')}} ${{localStorage.mark}}. {SENTENCE}`);
    document.cookie = 'mark=1'; localStorage.mark = 1"""
    monkeypatch.setitem(ANSWERS, "keeping", scripted(script))
    for _ in range(2):
        assert text_of(shown, net.url("keeping")).startswith("Было: false undefined.")


def test_a_page_that_never_stops_requesting_is_read_as_it_is(net: Internet, showing: Shown):
    with showing(replace(PATIENT, settle_s=1.0)) as pages:
        assert text_of(pages, net.url("polling")).startswith(SENTENCE)


@pytest.mark.parametrize("behaviour", NEVER)
def test_a_page_that_never_loads_is_read_as_it_was_fetched(net: Internet, showing: Shown, behaviour: str):
    with showing(replace(PATIENT, page_s=6.0)) as pages:
        text_of(pages, net.url("article"))
        started = time.monotonic()
        assert text_of(pages, net.url(behaviour)).startswith(PLAIN)
        assert time.monotonic() - started < 6.0 + SLACK_S
    with showing(PATIENT) as pages:
        assert SENTENCE in text_of(pages, net.url("written"))


def test_no_page_is_lost_when_a_browser_dies(net: Internet, shown: Crawler):
    text_of(shown, net.url("written"))
    victims = browsers()
    assert victims
    killing = threading.Timer(0.5, psutil.Process(victims[0].pid).kill)
    killing.start()
    assert text_of(shown, net.url("blocked")).startswith(PLAIN)
    killing.join()
    with nothing_refused_to_be_shown():
        assert SENTENCE in text_of(shown, net.url("written"))


def test_a_browser_that_does_not_start_is_tried_once(net: Internet, showing: Shown, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chatai_assets.adapters.crawler.browser.process.MODULE", "chatai_assets.nowhere")
    with capture_logs() as logs, showing(PATIENT) as pages:
        assert {each.error_code for each in pages.read([WebLink(net.url(f"article?{n}")) for n in range(3)])} == {None}
    reasons = [line["reason"] for line in logs if line["event"] == PAGE_NOT_SHOWN]
    assert reasons == ["the browser does not start", *["the browser did not start a moment ago"] * 2]


def test_a_browser_leaves_no_processes_or_files(
    net: Internet, showing: Shown, monkeypatch: pytest.MonkeyPatch, temporary: Path, tmp_path: Path
):
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("HOME", str(tmp_path))
    with showing(PATIENT) as pages:
        text_of(pages, net.url("written"))
        assert browsers()
        assert list(temporary.glob("chatai-browser-*"))
    assert browsers() == []
    assert list(temporary.iterdir()) == list(tmp_path.iterdir()) == []


def test_a_browser_exits_with_its_parent(browser: None, temporary: Path):
    program = f"""
import asyncio, tempfile
from chatai_assets.adapters.crawler.browser.limits import BrowserLimits
from chatai_assets.adapters.crawler.browser.process import MODULE
from chatai_assets.adapters.crawler.browser.process import BrowserProcess
tempfile.tempdir = {str(temporary)!r}
async def main():
    await BrowserProcess.start(BrowserLimits())
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"ready\n"
        below = psutil.Process(parent.pid).children(recursive=True)
        assert len(below) > 3
        os.kill(parent.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(below, timeout=SLACK_S)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    assert list(temporary.iterdir()) == []


def test_rendering_times_out_before_the_whole_link_does():
    usual = BrowserLimits()
    assert usual.page_s + 2 * usual.end_s < LIMITS.link_s
