"""Access to the providers of models: keys, addresses and names of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.settings.values import InvalidSetting, address, choice, number, secret

DEFAULT_JOB_CONCURRENCY = 25
"""``JOB_CONCURRENCY``: calls at a time to one provider, of one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Access to a provider whose key is set; ``X`` below is its name in capitals.

    Attributes:
        key: never shown (``X_API_KEY``).
        concurrency: calls at a time.
        base_url: address of its API without a slash at the end (``X_BASE_URL``).
        chat_model: answers questions about texts (``X_CHAT_MODEL``); "" for a provider without chat.
        embedding_model: (``X_EMBEDDING_MODEL``).
        dimensions: of the embedding model's vectors (``X_EMBEDDING_DIMENSIONS``).
    """

    key: str = field(repr=False)
    concurrency: int
    base_url: str
    chat_model: str = ""
    embedding_model: str
    dimensions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GigaChatSettings(ProviderSettings):
    """GigaChat, where ``GIGACHAT_API_KEY`` is set.

    Attributes:
        key: the authorization key of the cabinet, base64 of id and secret; never shown.
        concurrency: calls at a time of all processes together (``GIGACHAT_STREAMS``); individuals have one, others ten
            or more by contract.
        scope: ``GIGACHAT_API_PERS``, ``_B2B`` or ``_CORP`` (``GIGACHAT_SCOPE``).
        ca_bundle: file of the Russian Trusted Root CA, in addition to the usual ones (``GIGACHAT_CA_BUNDLE``).
        structured: whether the chat model knows JSON schemas (``GIGACHAT_STRUCTURED``); if not, the prompt alone asks.
    """

    scope: str = "GIGACHAT_API_PERS"
    ca_bundle: str | None = None
    auth_url: str = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
    base_url: str = "https://gigachat.devices.sberbank.ru/api/v1"
    chat_model: str = "GigaChat"
    embedding_model: str = "Embeddings"
    dimensions: int = 1_024
    structured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRouterSettings(ProviderSettings):
    """OpenRouter, where ``OPENROUTER_API_KEY`` is set.

    Attributes:
        chat_model: must know JSON schemas (``OPENROUTER_CHAT_MODEL``).
        fallback_models: asked by OpenRouter when the first is down (``OPENROUTER_FALLBACK_MODELS``, with commas).
    """

    base_url: str = "https://openrouter.ai/api/v1"
    chat_model: str = "openai/gpt-4o-mini"
    fallback_models: tuple[str, ...] = ()
    embedding_model: str = "openai/text-embedding-3-small"
    dimensions: int = 1_536


def _read_gigachat(env: Mapping[str, str], key: str) -> GigaChatSettings:
    usual = GigaChatSettings(key=key, concurrency=1)
    bundle = env.get("GIGACHAT_CA_BUNDLE") or None
    if bundle and not Path(bundle).is_file():
        raise InvalidSetting(f"GIGACHAT_CA_BUNDLE names no file: {bundle!r}.")
    scope = choice(env, "GIGACHAT_SCOPE", ("GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"))
    concurrency = read_job_concurrency(env)
    return GigaChatSettings(
        key=secret(key, "GIGACHAT_API_KEY"),
        concurrency=number(env, "GIGACHAT_STREAMS", 1 if scope == "GIGACHAT_API_PERS" else concurrency),
        scope=scope,
        ca_bundle=bundle,
        auth_url=address(env, "GIGACHAT_AUTH_URL", usual.auth_url),
        base_url=address(env, "GIGACHAT_BASE_URL", usual.base_url),
        chat_model=env.get("GIGACHAT_CHAT_MODEL") or usual.chat_model,
        embedding_model=env.get("GIGACHAT_EMBEDDING_MODEL") or usual.embedding_model,
        dimensions=number(env, "GIGACHAT_EMBEDDING_DIMENSIONS", usual.dimensions),
        structured=choice(env, "GIGACHAT_STRUCTURED", ("0", "1")) == "1",
    )


def _read_openrouter(env: Mapping[str, str], key: str) -> OpenRouterSettings:
    usual = OpenRouterSettings(key=key, concurrency=1)
    fallbacks = (name.strip() for name in env.get("OPENROUTER_FALLBACK_MODELS", "").split(","))
    return OpenRouterSettings(
        key=secret(key, "OPENROUTER_API_KEY"),
        concurrency=read_job_concurrency(env),
        base_url=address(env, "OPENROUTER_BASE_URL", usual.base_url),
        chat_model=env.get("OPENROUTER_CHAT_MODEL") or usual.chat_model,
        fallback_models=tuple(name for name in fallbacks if name),
        embedding_model=env.get("OPENROUTER_EMBEDDING_MODEL") or usual.embedding_model,
        dimensions=number(env, "OPENROUTER_EMBEDDING_DIMENSIONS", usual.dimensions),
    )


_READERS: Mapping[str, Callable[[Mapping[str, str], str], ProviderSettings]] = {
    "gigachat": _read_gigachat,
    "openrouter": _read_openrouter,
}


def read_providers(env: Mapping[str, str]) -> dict[str, ProviderSettings]:
    """Return name -> access of every provider whose key is set, in the order of ``PROVIDERS``."""
    keys = {name: env.get(spec.key_variable) for name, spec in PROVIDERS.items()}
    return {name: _READERS[name](env, key) for name, key in keys.items() if key}


def read_job_concurrency(env: Mapping[str, str]) -> int:
    """Return how many calls go to one provider at a time."""
    return number(env, "JOB_CONCURRENCY", DEFAULT_JOB_CONCURRENCY)
