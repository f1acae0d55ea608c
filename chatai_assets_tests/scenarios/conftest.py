"""One real daemon for all tests that need one: it starts once and works on the samples first. And a browser."""

import logging
import os
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from chatai_assets_tests.support.browser import CHROMIUM, open_page
from chatai_assets_tests.support.daemon import Daemon, start_make_run

SAMPLES_WAIT_S = 90.0
SAMPLES = 16
"""Posts and documents in ``chatai_assets/samples``."""
log = logging.getLogger(__name__)


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("daemon")
    started = start_make_run(folder / "home", folder / "log.txt")
    log.info("UI up after %.1f s", started.up_s)
    yield started
    started.kill()


@pytest.fixture(scope="session")
def samples_s(daemon: Daemon) -> float:
    """Wait until the bundled samples are found; the seconds since the UI was up."""

    # Asking the record store costs nothing; a search in a loop would take the core that the run needs.
    daemon.until(lambda: daemon.is_settled(SAMPLES), SAMPLES_WAIT_S, "the samples are done")
    assert daemon.finds("mooring lines before the storm", "tg/-1002100000002/4")
    assert daemon.finds("астроном расскажет о кратерах на Луне", "tg/-1002100000001/2")
    assert daemon.finds("brake pads of a bicycle", "doc/")
    seconds = time.monotonic() - daemon.up_at
    log.info("samples searchable %.1f s after the UI was up", seconds)
    return seconds


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if not CHROMIUM.exists():
        assert not os.environ.get("CI"), f"{CHROMIUM} is missing."
        pytest.skip(f"{CHROMIUM} is not installed.")
    with open_page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
