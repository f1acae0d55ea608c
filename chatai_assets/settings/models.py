"""Which models tag, embed and extract, and how often providers may be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatai_assets.domain.providers import CHAT_PROVIDERS, EMBEDDING_PROVIDERS, PROVIDERS
from chatai_assets.settings.values import InvalidSetting, choice, number

LARGEST_COUNT = 10**15


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """Calls of one tenant at one provider, over all processes (``CHATAI_QUOTA_MINUTE``, ``_HOUR``, ``_DAY``).

    Attributes:
        tokens_per_minute: (``CHATAI_QUOTA_TOKENS_MINUTE``); None for no limit.
        tokens_per_day: (``CHATAI_QUOTA_TOKENS_DAY``); None for no limit.
        patience_s: seconds a batch may wait for its turns before the rest is put off (``CHATAI_QUOTA_PATIENCE_S``).
    """

    per_minute: int = 100
    per_hour: int = 5_000
    per_day: int = 100_000
    max_wait_s: float = 120.0
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which models answer: ``offline``, ``free`` (for benchmarks) or a provider (``domain.providers``).

    Attributes:
        tagger: ``CHATAI_TAGGER``; by default the first of ``PROVIDERS`` whose key is set, else offline.
        embedder: ``CHATAI_EMBEDDER``; by the same rule. It applies to a home that has no vectors yet; later the record
            store says which model embeds (``storage.vector_indexes``).
        extractor: ``CHATAI_EXTRACTOR``; by default the last of ``PROVIDERS`` whose key is set, else offline.
    """

    tagger: str = "offline"
    embedder: str = "offline"
    extractor: str = "offline"


def read_models(env: Mapping[str, str]) -> ModelSettings:
    """Return who tags, embeds and extracts."""
    with_key = [name for name, spec in PROVIDERS.items() if env.get(spec.key_variable)]
    everywhere = choice(env, "CHATAI_MODELS", ("offline", "free")) if env.get("CHATAI_MODELS") else None

    def chosen(variable: str, preferred: Sequence[str], providers: Sequence[str]) -> str:
        default = everywhere or next((name for name in preferred if name in providers), "offline")
        value = choice(env, variable, tuple(dict.fromkeys((default, "offline", "free", *providers))))
        if value in PROVIDERS and value not in with_key:
            raise InvalidSetting(f"{variable} is {value}, so {PROVIDERS[value].key_variable} must be set.")
        return value

    return ModelSettings(
        tagger=chosen("CHATAI_TAGGER", with_key, CHAT_PROVIDERS),
        embedder=chosen("CHATAI_EMBEDDER", with_key, EMBEDDING_PROVIDERS),
        extractor=chosen("CHATAI_EXTRACTOR", with_key[::-1], CHAT_PROVIDERS),
    )


def read_quota(env: Mapping[str, str]) -> QuotaSettings:
    """Return the quota of each tenant at each provider."""
    return QuotaSettings(
        number(env, "CHATAI_QUOTA_MINUTE", 100),
        number(env, "CHATAI_QUOTA_HOUR", 5_000),
        number(env, "CHATAI_QUOTA_DAY", 100_000),
        number(env, "CHATAI_QUOTA_PATIENCE_S", 120),
        number(env, "CHATAI_QUOTA_TOKENS_MINUTE", 0, most=LARGEST_COUNT) or None,
        number(env, "CHATAI_QUOTA_TOKENS_DAY", 0, most=LARGEST_COUNT) or None,
    )
