"""Which models and prompts answer now, for those who ask what was made with others."""

from __future__ import annotations

from chatai_assets.domain.embedding_model import parse_embedding_model
from chatai_assets.domain.stages import Stage
from chatai_assets.operations.staleness import ActiveVersions
from chatai_assets.services import Services


def active_versions(services: Services) -> ActiveVersions:
    """Return what a home computes with, and what its models are called where prices are told."""
    settings, index = services.settings, services.indexes.serving_now()
    chat = {name: access.chat_model for name, access in settings.providers.items()}
    asked: dict[Stage, str | None] = {
        "tag": chat.get(settings.models.tagger),
        "enrich": chat.get(settings.models.extractor),
        "embed": parse_embedding_model(index.embedder).model or None,
    }
    priced = {stage: model for stage, model in asked.items() if model}
    return ActiveVersions(services.tagger.model, services.extractor.model, index.model, priced)
