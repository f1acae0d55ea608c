"""A home that uses models of a local provider server over HTTP; all others are free."""

from __future__ import annotations

from pathlib import Path

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.services import Services
from chatai_assets.settings import read_settings
from chatai_assets_tests.support.providers.server import ProviderServer

AMPLE_QUOTAS = {"CHATAI_QUOTA_MINUTE": "1000000", "CHATAI_QUOTA_HOUR": "1000000", "CHATAI_QUOTA_DAY": "1000000"}


def open_services_at(server: ProviderServer, home: Path, **variables: str) -> Services:
    """Return the parts of a home that asks this server."""
    usual = {
        "CHATAI_HOME": str(home),
        "CHATAI_PARSER_PROCESSES": "1",
        "CHATAI_TAGGER": "gigachat",
        "CHATAI_EMBEDDER": "gigachat",
        "CHATAI_EXTRACTOR": "openrouter",
    }
    return Services(read_settings(usual | AMPLE_QUOTAS | server.environment() | variables))


def model_inputs(*texts: str, tenant: str = "t") -> list[ModelInput]:
    """Return model inputs of one tenant."""
    return [ModelInput(tenant, text) for text in texts]
