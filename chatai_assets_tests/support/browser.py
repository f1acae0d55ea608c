"""Headless Chromium before the UI of a real daemon, and pictures of what it shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import FloatRect, Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000
SETTLING_MS = 3_000
"""Icons and colours come after the texts for which tests wait."""


@contextmanager
def open_page(profile: Path) -> Iterator[Page]:
    """Open a browser with one empty page.

    Args:
        profile: an empty folder of its own.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=ARGUMENTS,
            viewport={"width": 1280, "height": 640},
        )
        browser.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield browser.pages[0]
        browser.close()


def take_picture(page: Page, name: str, height: int | None = None) -> None:
    """Save a screenshot in the folder that ``CHATAI_SCREENSHOTS`` names, if it does.

    Args:
        height: pixels from the top; without it all that is seen.
    """
    if folder := os.environ.get("CHATAI_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(SETTLING_MS)
        seen = page.viewport_size or {"width": 0, "height": 0}
        part: FloatRect = {"x": 0, "y": 0, "width": seen["width"], "height": height or seen["height"]}
        page.screenshot(path=Path(folder) / f"{name}.png", clip=part)
