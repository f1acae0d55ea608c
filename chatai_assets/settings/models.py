"""Who tags, embeds and extracts, with which access, and how often they may be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatai_assets.settings.values import InvalidSetting, address, choice, number, secret

LARGEST_COUNT = 10**15
DEFAULT_JOB_CONCURRENCY = 25
"""``JOB_CONCURRENCY``: calls at a time to one provider, of one process."""


@dataclass(frozen=True, slots=True)
class GigaChatSettings:
    """GigaChat, where ``GIGACHAT_API_KEY`` is set.

    Attributes:
        key: the authorization key of the cabinet, base64 of id and secret; never shown.
        scope: ``GIGACHAT_API_PERS``, ``_B2B`` or ``_CORP`` (``GIGACHAT_SCOPE``).
        ca_bundle: file of the Russian Trusted Root CA, besides the usual ones (``GIGACHAT_CA_BUNDLE``).
        structured: whether the chat model knows JSON schemas (``GIGACHAT_STRUCTURED``); if not, the prompt alone asks.
        dimensions: of the embedding model's vectors (``GIGACHAT_EMBEDDING_DIMENSIONS``).
        streams: calls at a time of all processes together (``GIGACHAT_STREAMS``); individuals have one, others ten or
            more by contract.
    """

    key: str = field(repr=False)
    streams: int
    scope: str = "GIGACHAT_API_PERS"
    ca_bundle: str | None = None
    auth_url: str = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
    base_url: str = "https://gigachat.devices.sberbank.ru/api/v1"
    chat_model: str = "GigaChat"
    embedding_model: str = "Embeddings"
    dimensions: int = 1_024
    structured: bool = False


@dataclass(frozen=True, slots=True)
class OpenRouterSettings:
    """OpenRouter, where ``OPENROUTER_API_KEY`` is set.

    Attributes:
        key: never shown.
        streams: calls at a time.
        chat_model: must know JSON schemas (``OPENROUTER_CHAT_MODEL``).
        fallback_models: asked by OpenRouter when the first is down (``OPENROUTER_FALLBACK_MODELS``, with commas).
        dimensions: of the embedding model's vectors (``OPENROUTER_EMBEDDING_DIMENSIONS``).
    """

    key: str = field(repr=False)
    streams: int
    base_url: str = "https://openrouter.ai/api/v1"
    chat_model: str = "openai/gpt-4o-mini"
    fallback_models: tuple[str, ...] = ()
    embedding_model: str = "openai/text-embedding-3-small"
    dimensions: int = 1_536


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
    """Who answers: ``offline``, ``free`` (for benchmarks), ``gigachat`` or ``openrouter``.

    Attributes:
        tagger: ``CHATAI_TAGGER``; by default GigaChat if its key is set, else OpenRouter, else offline.
        embedder: ``CHATAI_EMBEDDER``; likewise. Of a home that has no vectors yet: from then on its record store says
            who embeds (``storage.vector_indexes``).
        extractor: ``CHATAI_EXTRACTOR``; by default OpenRouter if its key is set, else GigaChat, else offline.
    """

    tagger: str = "offline"
    embedder: str = "offline"
    extractor: str = "offline"


def read_models(env: Mapping[str, str]) -> ModelSettings:
    """Return who tags, embeds and extracts."""
    keys = {"gigachat": env.get("GIGACHAT_API_KEY"), "openrouter": env.get("OPENROUTER_API_KEY")}
    with_key = [name for name in keys if keys[name]]
    everywhere = choice(env, "CHATAI_MODELS", ("offline", "free")) if env.get("CHATAI_MODELS") else None

    def chosen(name: str, preferred: Sequence[str]) -> str:
        default = everywhere or next(iter(preferred), "offline")
        value = choice(env, name, tuple(dict.fromkeys((default, "offline", "free", "gigachat", "openrouter"))))
        if value in keys and not keys[value]:
            raise InvalidSetting(f"{name} is {value}, so {value.upper()}_API_KEY must be set.")
        return value

    return ModelSettings(
        tagger=chosen("CHATAI_TAGGER", with_key),
        embedder=chosen("CHATAI_EMBEDDER", with_key),
        extractor=chosen("CHATAI_EXTRACTOR", with_key[::-1]),
    )


def read_gigachat(env: Mapping[str, str]) -> GigaChatSettings | None:
    """Return access to GigaChat; None without its key."""
    key, usual = env.get("GIGACHAT_API_KEY"), GigaChatSettings("", 1)
    if not key:
        return None
    bundle = env.get("GIGACHAT_CA_BUNDLE") or None
    if bundle and not Path(bundle).is_file():
        raise InvalidSetting(f"GIGACHAT_CA_BUNDLE names no file: {bundle!r}.")
    scope = choice(env, "GIGACHAT_SCOPE", ("GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"))
    concurrency = read_job_concurrency(env)
    return GigaChatSettings(
        key=secret(key, "GIGACHAT_API_KEY"),
        streams=number(env, "GIGACHAT_STREAMS", 1 if scope == "GIGACHAT_API_PERS" else concurrency),
        scope=scope,
        ca_bundle=bundle,
        auth_url=address(env, "GIGACHAT_AUTH_URL", usual.auth_url),
        base_url=address(env, "GIGACHAT_BASE_URL", usual.base_url),
        chat_model=env.get("GIGACHAT_CHAT_MODEL") or usual.chat_model,
        embedding_model=env.get("GIGACHAT_EMBEDDING_MODEL") or usual.embedding_model,
        dimensions=number(env, "GIGACHAT_EMBEDDING_DIMENSIONS", usual.dimensions),
        structured=choice(env, "GIGACHAT_STRUCTURED", ("0", "1")) == "1",
    )


def read_openrouter(env: Mapping[str, str]) -> OpenRouterSettings | None:
    """Return access to OpenRouter; None without its key."""
    key, usual = env.get("OPENROUTER_API_KEY"), OpenRouterSettings("", 1)
    if not key:
        return None
    fallbacks = (name.strip() for name in env.get("OPENROUTER_FALLBACK_MODELS", "").split(","))
    return OpenRouterSettings(
        key=secret(key, "OPENROUTER_API_KEY"),
        streams=read_job_concurrency(env),
        base_url=address(env, "OPENROUTER_BASE_URL", usual.base_url),
        chat_model=env.get("OPENROUTER_CHAT_MODEL") or usual.chat_model,
        fallback_models=tuple(name for name in fallbacks if name),
        embedding_model=env.get("OPENROUTER_EMBEDDING_MODEL") or usual.embedding_model,
        dimensions=number(env, "OPENROUTER_EMBEDDING_DIMENSIONS", usual.dimensions),
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


def read_job_concurrency(env: Mapping[str, str]) -> int:
    """Return how many calls go to one provider at a time."""
    return number(env, "JOB_CONCURRENCY", DEFAULT_JOB_CONCURRENCY)
