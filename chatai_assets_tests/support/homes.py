"""A home with models that cost nothing, on embedded stores and on servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatai_assets.services import Services
from chatai_assets.settings import Settings
from chatai_assets_tests.support.pipeline import migrated_settings


@pytest.fixture(params=["embedded", "servers"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an empty home."""
    servers = request.getfixturevalue("servers") if request.param == "servers" else None
    return migrated_settings(tmp_path / "home", servers)


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    """The parts of an empty home."""
    with Services(settings) as opened:
        yield opened


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Services]:
    """The parts of an empty home on embedded stores."""
    with Services(migrated_settings(tmp_path / "home")) as opened:
        yield opened
