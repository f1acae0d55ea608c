"""What people see in the UI of a real daemon: the lineage, the hours of an asset, and doing one post again."""

import pytest
from playwright.sync_api import Locator, Page, expect

from chatai_assets.domain.stages import ITEM_STAGES, STAGES
from chatai_assets_tests.support.browser import take_picture
from chatai_assets_tests.support.daemon import Daemon

BOTH_GROUPS_OPEN = "expanded=global%40global%3Adocuments%2Cglobal%40global%3Aposts"
EMPTY_CORNER = (90, 600)
"""A place of the lineage where there is no asset: a double click there fits all into the window."""
REDONE = "tg/-1002100000001/2"
RUN_WAIT_S = 60.0
pytestmark = pytest.mark.browser


def test_the_lineage_shows_the_six_assets_of_each_stream(daemon: Daemon, samples_s: float, page: Page):
    page.goto(f"{daemon.url}/asset-groups?{BOTH_GROUPS_OPEN}")
    page.get_by_text("Hide navigation").click()
    search = page.get_by_placeholder("Jump to…")
    search.locator("xpath=following::button[1]").click()
    expect(search).to_be_hidden()
    page.mouse.click(*EMPTY_CORNER, button="right")
    page.get_by_text("Change graph to vertical orientation").click()
    page.mouse.dblclick(*EMPTY_CORNER)
    for stream in ("documents", "posts"):
        expect(page.get_by_text(stream, exact=True)).to_be_visible()
    for name in (spec.asset for spec in STAGES.values() if spec.role != "rebuild"):
        nodes = page.get_by_text(name, exact=True)
        expect(nodes).to_have_count(2)
        expect(nodes.first).to_be_in_viewport()
        expect(nodes.last).to_be_in_viewport()
    take_picture(page, "lineage")


def test_the_hours_of_an_asset_are_shown_as_materialized(daemon: Daemon, samples_s: float, page: Page):
    hour = daemon.chatai("show", REDONE)["hour"]
    page.goto(f"{daemon.url}/assets/posts/indexed?view=partitions")
    page.get_by_text(hour, exact=True).filter(visible=True).last.click()
    expect(page.get_by_text("run_items_per_second")).to_be_visible()
    take_picture(page, "hours")


def test_redo_in_the_launchpad_does_one_post_again_and_no_other(daemon: Daemon, samples_s: float, page: Page):
    before = daemon.work_rows()
    page.goto(f"{daemon.url}/locations/chatai_assets/jobs/redo/playground")
    editor = page.locator(".CodeMirror").first
    expect(editor).to_contain_text("source: ''")
    type_into(editor, f"source: {REDONE}\n")
    launch = page.get_by_role("button", name="Launch Run")
    take_picture(page, "launchpad")
    launch.click()
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=RUN_WAIT_S * 1_000)
    take_picture(page, "redo")
    after = daemon.work_rows()
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed == {(REDONE, stage) for stage in ITEM_STAGES}
    assert {state for state, _, _ in after.values()} == {"done"}


def type_into(editor: Locator, text: str) -> None:
    editor.click()
    editor.page.keyboard.press("Control+a")
    editor.page.keyboard.insert_text(text)
