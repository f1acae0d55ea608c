"""A home with models that cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatai_assets.assembly import Parts
from chatai_assets_tests.pipeline import free_settings


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with Parts(free_settings(tmp_path / "home")) as opened:
        yield opened
