"""Which models tag, embed and extract, and how often providers may be called."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from chatai_assets.domain.providers import CHAT_PROVIDERS, EMBEDDING_PROVIDERS, PROVIDERS
from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.providers import Calls
from chatai_assets.settings.values import InvalidSetting, Seconds, TokenLimit, one_of

BY_KEYS = "by the keys that are set, else `offline`"
"""Default of a model, for the table of settings."""


class QuotaSettings(SettingsGroup):
    """How much of one provider one tenant may use, over all processes."""

    per_minute: Calls = Field(
        default=100,
        validation_alias="CHATAI_QUOTA_MINUTE",
        description="of a tenant to one provider in a minute, over all processes",
    )
    per_hour: Calls = Field(default=5_000, validation_alias="CHATAI_QUOTA_HOUR", description="the same in an hour")
    per_day: Calls = Field(default=100_000, validation_alias="CHATAI_QUOTA_DAY", description="the same in a day")
    tokens_per_minute: TokenLimit = Field(
        default=None,
        validation_alias="CHATAI_QUOTA_TOKENS_MINUTE",
        description="tokens of a tenant at one provider in a minute, over all processes",
    )
    tokens_per_day: TokenLimit = Field(
        default=None,
        validation_alias="CHATAI_QUOTA_TOKENS_DAY",
        description="tokens of a tenant at one provider in a day, over all processes",
    )
    max_wait_s: Seconds = Field(
        default=120,
        validation_alias="CHATAI_QUOTA_PATIENCE_S",
        description="how long a batch waits for free quota before the rest of its items is deferred",
    )


class ModelSettings(SettingsGroup):
    """Which models answer: ``offline``, ``free`` (for benchmarks) or a provider (``domain.providers``)."""

    preset: Annotated[Literal["offline", "free"] | None, one_of("offline", "free")] = Field(
        default=None,
        validation_alias="CHATAI_MODELS",
        description="the three below at once: `offline`, or `free`: hashed vectors, first words as tags; for tests",
    )
    tagger: str = Field(
        default="offline",
        validation_alias="CHATAI_TAGGER",
        description="what tags: `offline`, `gigachat`, `openrouter` or `free`",
        json_schema_extra={"default_text": BY_KEYS},
    )
    embedder: str = Field(
        default="offline",
        validation_alias="CHATAI_EMBEDDER",
        description="what embeds in a new home; later the record store says which model does",
        json_schema_extra={"default_text": BY_KEYS},
    )
    extractor: str = Field(
        default="offline",
        validation_alias="CHATAI_EXTRACTOR",
        description="what extracts entities and relations",
        json_schema_extra={"default_text": BY_KEYS},
    )


def read_models(env: Mapping[str, str]) -> ModelSettings:
    """Return which models tag, embed and extract.

    Tagger and embedder are by default the first of ``PROVIDERS`` whose key is set, the extractor is the last.
    """
    with_key = [name for name, spec in PROVIDERS.items() if env.get(spec.key_variable)]
    preset = ModelSettings.read({"CHATAI_MODELS": env.get("CHATAI_MODELS", "")}).preset

    def choose(variable: str, preferred: Sequence[str], providers: Sequence[str]) -> str:
        default: str = preset or next((name for name in preferred if name in providers), "offline")
        allowed = tuple(dict.fromkeys((default, "offline", "free", *providers)))
        value = env.get(variable) or default
        if value not in allowed:
            raise InvalidSetting(f"{variable} must be one of {', '.join(allowed)}, not {value!r}.")
        if value in PROVIDERS and value not in with_key:
            raise InvalidSetting(f"{variable} is {value}, so {PROVIDERS[value].key_variable} must be set.")
        return value

    return ModelSettings(
        preset=preset,
        tagger=choose("CHATAI_TAGGER", with_key, CHAT_PROVIDERS),
        embedder=choose("CHATAI_EMBEDDER", with_key, EMBEDDING_PROVIDERS),
        extractor=choose("CHATAI_EXTRACTOR", with_key[::-1], CHAT_PROVIDERS),
    )
