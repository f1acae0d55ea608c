"""Access to the providers of models: keys, addresses and names of models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.values import Address, Count, Names, Secret, Switch, WholeNumber, from_text, one_of

Calls = Annotated[int, WholeNumber("calls")]


def _check_file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError(f" names no file: {text!r}.")
    return text


class ProviderSettings(SettingsGroup):
    """Access to a provider whose key is set; ``X`` below is its name in capitals.

    Attributes:
        key: never shown (``X_API_KEY``).
        base_url: address of its API without a slash at the end (``X_BASE_URL``).
        chat_model: answers questions about texts (``X_CHAT_MODEL``); "" for a provider without chat.
        embedding_model: (``X_EMBEDDING_MODEL``).
        dimensions: of the embedding model's vectors (``X_EMBEDDING_DIMENSIONS``).
    """

    key: Secret = Field(repr=False)
    base_url: Address
    chat_model: str = ""
    embedding_model: str
    dimensions: Count
    job_concurrency: Calls = Field(
        default=25,
        validation_alias="JOB_CONCURRENCY",
        description="of a process to one provider at a time",
    )

    @property
    def concurrency(self) -> int:
        """Calls at a time."""
        return self.job_concurrency


class GigaChatSettings(ProviderSettings):
    """GigaChat, where ``GIGACHAT_API_KEY`` is set."""

    key: Secret = Field(
        repr=False,
        validation_alias="GIGACHAT_API_KEY",
        description="authorization key of GigaChat's cabinet, base64 of id and secret",
    )
    scope: Annotated[str, one_of("GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP")] = Field(
        default="GIGACHAT_API_PERS",
        validation_alias="GIGACHAT_SCOPE",
        description="of the GigaChat account: `GIGACHAT_API_PERS`, `GIGACHAT_API_B2B` or `GIGACHAT_API_CORP`",
    )
    ca_bundle: Annotated[str | None, from_text(_check_file)] = Field(
        default=None, validation_alias="GIGACHAT_CA_BUNDLE", description="file of the Russian Trusted Root CA"
    )
    auth_url: Address = Field(
        default="https://ngw.devices.sberbank.ru:9443/api/v2/oauth",
        validation_alias="GIGACHAT_AUTH_URL",
        description="where GigaChat gives access tokens; `http://` only on this machine",
    )
    base_url: Address = Field(
        default="https://gigachat.devices.sberbank.ru/api/v1",
        validation_alias="GIGACHAT_BASE_URL",
        description="GigaChat's API; `http://` only on this machine",
    )
    chat_model: str = Field(
        default="GigaChat", validation_alias="GIGACHAT_CHAT_MODEL", description="model that tags and extracts"
    )
    structured: Switch = Field(
        default=False,
        validation_alias="GIGACHAT_STRUCTURED",
        description="1 for GigaChat models that know JSON schemas; for others the prompt alone asks",
    )
    embedding_model: str = Field(
        default="Embeddings", validation_alias="GIGACHAT_EMBEDDING_MODEL", description="model that embeds"
    )
    dimensions: Count = Field(
        default=1_024, validation_alias="GIGACHAT_EMBEDDING_DIMENSIONS", description="length of that model's vectors"
    )
    account_concurrency: Annotated[int | None, WholeNumber("calls")] = Field(
        default=None,
        validation_alias="GIGACHAT_STREAMS",
        description="at GigaChat at a time, of all processes together, as the account allows",
        json_schema_extra={"default_text": "1 call for `GIGACHAT_API_PERS`, else `JOB_CONCURRENCY`"},
    )

    @property
    def concurrency(self) -> int:
        """Calls at a time of all processes together; individuals have one, others ten or more by contract."""
        return self.account_concurrency or (1 if self.scope == "GIGACHAT_API_PERS" else self.job_concurrency)


class OpenRouterSettings(ProviderSettings):
    """OpenRouter, where ``OPENROUTER_API_KEY`` is set."""

    key: Secret = Field(repr=False, validation_alias="OPENROUTER_API_KEY", description="key of OpenRouter")
    base_url: Address = Field(
        default="https://openrouter.ai/api/v1",
        validation_alias="OPENROUTER_BASE_URL",
        description="OpenRouter's API; `http://` only on this machine",
    )
    chat_model: str = Field(
        default="openai/gpt-4o-mini",
        validation_alias="OPENROUTER_CHAT_MODEL",
        description="model that tags and extracts; it must know JSON schemas",
    )
    fallback_models: Names = Field(
        default=(),
        validation_alias="OPENROUTER_FALLBACK_MODELS",
        description="models that OpenRouter asks when the chat model is down, separated by commas",
    )
    embedding_model: str = Field(
        default="openai/text-embedding-3-small",
        validation_alias="OPENROUTER_EMBEDDING_MODEL",
        description="model that embeds",
    )
    dimensions: Count = Field(
        default=1_536, validation_alias="OPENROUTER_EMBEDDING_DIMENSIONS", description="length of that model's vectors"
    )


PROVIDER_SETTINGS: Mapping[str, type[ProviderSettings]] = {
    "gigachat": GigaChatSettings,
    "openrouter": OpenRouterSettings,
}


def read_providers(env: Mapping[str, str]) -> dict[str, ProviderSettings]:
    """Return name -> access of every provider whose key is set, in the order of ``PROVIDERS``."""
    return {name: PROVIDER_SETTINGS[name].read(env) for name, spec in PROVIDERS.items() if env.get(spec.key_variable)}
