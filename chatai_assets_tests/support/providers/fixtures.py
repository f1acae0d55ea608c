"""A local provider server and a home that asks it; pauses between tries are short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatai_assets.domain import retry as retries
from chatai_assets.services import Services
from chatai_assets_tests.support.providers.home import open_services_at
from chatai_assets_tests.support.providers.server import ProviderServer, provider_server


@pytest.fixture(scope="session")
def running_server() -> Iterator[ProviderServer]:
    with provider_server() as server:
        yield server


@pytest.fixture
def server(running_server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> ProviderServer:
    """The server in its initial state."""
    monkeypatch.setattr(retries, "FIRST_CALL_BACKOFF_S", 0.02)
    running_server.reset()
    return running_server


@pytest.fixture
def services(server: ProviderServer, tmp_path: Path) -> Iterator[Services]:
    with open_services_at(server, tmp_path / "home") as opened:
        yield opened
