"""What people see in the UI when things fail: the reason, what repaired it, what was given up, and a backfill."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Locator, Page, expect

from chatai_assets.domain.ids import STREAMS, Stream, hour_of
from chatai_assets.orchestration.instance import home_instance
from chatai_assets.orchestration.runs import OPEN, PARTITION_TAG, TRIGGER_TAG
from chatai_assets.services import open_services
from chatai_assets.settings import read_settings
from chatai_assets_tests.support.browser import take_picture
from chatai_assets_tests.support.daemon import Daemon, start_make_run
from chatai_assets_tests.support.files import pdf
from chatai_assets_tests.support.pipeline import ingest_files, ingest_posts, message
from chatai_assets_tests.support.providers.home import AMPLE_QUOTAS
from chatai_assets_tests.support.providers.server import ProviderServer, provider_server

HOURS_AGO = (3, 2, 1)
HOUR_S = 3_600
POSTS_AN_HOUR = 12
DOWN = {"503": 1.0}
PROBE_INTERVAL_S = "20"
RED_WAIT_S = 180.0
REPAIR_WAIT_S = 120.0
BACKFILL_TAG = "dagster/backfill"
BACKFILL_WAIT_S = 180.0
"""Dagster looks for backfills every 30 s."""
ABOVE_ITS_STACK = 505
"""Dagster's own frames, which say where it is installed, have no place in a picture."""
NEW_TAGS_CHANGE = {"tag", "index", "link"}
"""Stages with something to do once a post's tags are known; the others were done while the provider was down."""
Rows = dict[tuple[str, str], tuple[str, str, float]]
pytestmark = [
    pytest.mark.one_worker,
    pytest.mark.browser,
    pytest.mark.daemon,
    pytest.mark.timeout(600),
]  # most of it is waiting


@dataclass(frozen=True)
class Outage:
    """A provider that is down beneath a daemon, and what arrived meanwhile.

    Attributes:
        hours: in which posts arrived, the oldest first; in the last one documents as well.
    """

    daemon: Daemon
    server: ProviderServer
    hours: Sequence[str]

    def runs(self, stream: Stream, *statuses: dg.DagsterRunStatus, **tags: str) -> list[dg.DagsterRun]:
        """Return the runs of a stream, the newest first."""
        with home_instance(read_settings({"CHATAI_HOME": str(self.daemon.home)})) as instance:
            return list(instance.get_runs(dg.RunsFilter(job_name=stream, statuses=list(statuses), tags=tags)))

    def is_red(self) -> bool:
        """Return whether a run of each stream has failed."""
        return all(self.runs(stream, dg.DagsterRunStatus.FAILURE) for stream in STREAMS)


@dataclass(frozen=True)
class Over:
    """The same when the provider works again and somebody has launched a backfill.

    Attributes:
        before: all work, as it was when nobody worked on it any more.
    """

    before: Rows


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    folder, now = tmp_path_factory.mktemp("outage"), time.time()
    hours = [hour_of(now - ago * HOUR_S) for ago in HOURS_AGO]
    with provider_server() as server:
        server.behave(shares=DOWN)
        variables = {
            **server.environment(),
            **AMPLE_QUOTAS,
            "CHATAI_HOME": str(folder / "home"),
            "CHATAI_MODELS": "free",
            "CHATAI_TAGGER": "gigachat",
            "CHATAI_SAMPLES": "0",
            "CHATAI_PROBE_INTERVAL_S": PROBE_INTERVAL_S,
            "CHATAI_FIRST_HOUR": hours[0],
        }
        _arrive(folder, variables, now)
        daemon = start_make_run(folder / "home", folder / "log.txt", variables)
        try:
            found = Outage(daemon, server, hours)
            daemon.until(found.is_red, RED_WAIT_S, "runs of both streams have failed")
            yield found
        finally:
            daemon.kill()


def _arrive(folder: Path, variables: dict[str, str], now: float) -> None:
    """Let posts arrive in each of the hours, and in the last one a good document and two bad ones."""
    files = [folder / "otter.txt", pdf(folder / "scan.pdf", ["", ""]), folder / "broken.pdf"]
    files[0].write_text("The otter cracks mussels on a flat stone in the river Thames.", encoding="utf-8")
    files[2].write_bytes(b"%PDF-1.4\n" + bytes(range(256)) * 9)
    with open_services(read_settings(variables)) as services:
        for ago in HOURS_AGO:
            numbers = range(100 * ago, 100 * ago + POSTS_AN_HOUR)
            posts = [message(number, f"Вчера поезд {number} видел город Казань и реку Волга.") for number in numbers]
            ingest_posts(services, posts, now=now - ago * HOUR_S)
        ingest_files(services, files, now=now - HOURS_AGO[-1] * HOUR_S)


@pytest.fixture(scope="module")
def over(outage: Outage, page: Page) -> Over:
    """Let the provider work again, and have the posts of its outage done by a backfill instead of the sensor."""
    url = outage.daemon.url
    page.goto(f"{url}/locations/chatai_assets/sensors/posts_due")
    switch = page.get_by_role("checkbox").first
    expect(switch).to_be_checked()
    switch.dispatch_event("click")
    expect(switch).not_to_be_checked()
    outage.daemon.until(lambda: not outage.runs("posts", *OPEN), RED_WAIT_S, "no run of posts is under way")
    before = outage.daemon.work_rows()
    outage.server.behave()
    page.goto(f"{url}/locations/chatai_assets/jobs/posts/partitions")
    page.get_by_role("button", name="Materialize…").first.click()
    chosen = page.get_by_role("dialog").get_by_role("textbox").first
    chosen.fill(f"[{outage.hours[0]}...{outage.hours[-1]}]")
    chosen.press("Enter")
    expect(page.get_by_text(f"{len(outage.hours)} partitions", exact=True)).to_be_visible()
    take_picture(page, "backfill")
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    return Over(before)


def test_a_failed_run_says_what_is_down_since_when_what_waits_and_what_to_do(outage: Outage, page: Page):
    run = outage.runs("posts", dg.DagsterRunStatus.FAILURE)[-1]
    page.goto(f"{outage.daemon.url}/runs/{run.run_id}")
    page.get_by_text("Hide navigation").click()
    sentence = re.compile(
        r"GigaChat is down since \d{4}-\d\d-\d\d \d\d:\d\d UTC: 10 items got no answer: \S+ \S+: HTTP 503\. "
        rf"{POSTS_AN_HOUR} posts wait at the stage 'tag' of {run.tags[PARTITION_TAG]}; nothing is lost and no attempt "
        r"is used up\. The sensor asks again by itself.* materialize the hour to ask now\."
    )
    expect(page.get_by_text(sentence).first).to_be_in_viewport()
    page.set_viewport_size({"width": 1280, "height": 720})  # that the last events of its log fit in
    take_picture(page, "failed_run", height=ABOVE_ITS_STACK)


def test_the_hour_of_a_failed_run_is_repaired_by_a_probe_that_nobody_clicked_for(
    outage: Outage, over: Over, page: Page
):
    def probes() -> list[dg.DagsterRun]:
        return outage.runs("documents", dg.DagsterRunStatus.SUCCESS, **{TRIGGER_TAG: "probe"})

    outage.daemon.until(probes, REPAIR_WAIT_S, "a probe has succeeded")
    probe = probes()[-1]
    failed = outage.runs("documents", dg.DagsterRunStatus.FAILURE)[-1]
    page.goto(f"{outage.daemon.url}/runs?q[]=job%3Adocuments")
    for run, status in ((probe, "Success"), (failed, "Failure")):
        row = row_of(page, run, launched_by="documents_due")
        expect(row).to_contain_text(status)
        expect(row).to_contain_text(outage.hours[-1])
    take_picture(page, "repaired")


def test_the_failing_check_names_what_was_given_up_and_how_to_do_it_again(outage: Outage, over: Over, page: Page):
    # While a run goes on, its checks show as being in progress; after the probe no more is asked for.
    outage.daemon.until(lambda: not outage.runs("documents", *OPEN), REPAIR_WAIT_S, "no run of documents is under way")
    letters = outage.daemon.chatai("dead-letters", "list")
    assert {letter["error_class"] for letter in letters} == {"corrupt", "no_text_layer"}
    page.goto(f"{outage.daemon.url}/assets/documents/parsed?view=checks&checkDetail=no_dead_letters")
    said = page.get_by_text("2 of the documents were given up (corrupt: 1, no_text_layer: 1)")
    expect(said).to_contain_text("chatai dead-letters replay --stream documents --all")
    for letter in letters:
        expect(said).to_contain_text(letter["source"])
        row = page.get_by_role("row").filter(has_text=f"{letter['id']}{letter['source']}").last
        expect(row).to_contain_text(letter["error_message"])
    take_picture(page, "given_up")


def test_a_backfill_of_the_hours_of_an_outage_does_what_is_not_done_and_nothing_else(
    outage: Outage, over: Over, page: Page
):
    launched = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)

    def ended() -> list[dg.DagsterRun]:
        return [run for run in outage.runs("posts", *launched) if BACKFILL_TAG in run.tags]

    outage.daemon.until(lambda: len(ended()) == len(outage.hours), BACKFILL_WAIT_S, "the backfill's runs have ended")
    runs = ended()
    page.goto(f"{outage.daemon.url}/runs/b/{runs[0].tags[BACKFILL_TAG]}?tab=runs")
    for run in runs:
        expect(row_of(page, run, launched_by="Manually launched")).to_contain_text("Success")
    take_picture(page, "backfilled")
    either = {run.run_id for run in outage.runs("posts", *launched)}  # a probe may come before the backfill
    _assert_only_the_rest_was_done(over.before, outage.daemon.work_rows(), either)
    assert outage.server.counts()["paid_repeats"] == 0


def row_of(page: Page, run: dg.DagsterRun, *, launched_by: str) -> Locator:
    """Return what a list of runs shows of one of them; its table is made of parts without roles."""
    link = page.get_by_role("link", name=f"run {run.run_id[:8]}")
    return link.locator(f"xpath=ancestor::*[contains(., '{launched_by}')][1]")


def _assert_only_the_rest_was_done(before: Rows, after: Rows, run_ids: set[str]) -> None:
    posts = {key for key in after if key[0].startswith("tg/")}
    changed = {key for key in posts if after[key] != before[key]}
    assert {after[key][0] for key in posts} == {"done"}
    assert changed == {(source, stage) for source, _ in posts for stage in NEW_TAGS_CHANGE}
    assert {after[key][1] for key in changed} <= run_ids
