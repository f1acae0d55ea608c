"""OpenRouter: chat with a JSON schema and fallback models, and embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatai_assets.adapters.models.base import Vector
from chatai_assets.adapters.models.http import (
    DEFAULT_DEADLINES,
    Deadlines,
    HTTPTransport,
    error_from_status,
    ssl_context,
)
from chatai_assets.adapters.models.provider import OnUsage, usage_of, vectors_of
from chatai_assets.domain.errors import ProviderBusy, ProviderRejected
from chatai_assets.domain.json_values import array, integer, mapping, string
from chatai_assets.domain.prompts import Messages, Schema
from chatai_assets.settings.providers import OpenRouterSettings

CHAT = "OpenRouter /chat/completions"


class OpenRouter:
    """The provider; used from one event loop only.

    Args:
        access: key, address and models.
    """

    name = "openrouter"
    is_concurrency_shared = False
    """It has no limit of its own: ``JOB_CONCURRENCY`` limits each process."""
    window_words = 1_000
    """Its embedding models read 8,000 tokens, so chunks are not split."""

    def __init__(self, access: OpenRouterSettings, deadlines: Deadlines = DEFAULT_DEADLINES) -> None:
        self.chat_model = access.chat_model
        self.embedding_model = access.embedding_model
        self.dimensions = access.dimensions
        self.concurrency = access.concurrency
        self._access = access
        self._transport = HTTPTransport("OpenRouter", ssl_context(), deadlines)

    async def chat(self, messages: Messages, schema: Schema, on_usage: OnUsage) -> str:
        """Return the answer of the model, or of the first fallback that answers; see ``Provider.chat``."""
        request: dict[str, Any] = {
            "model": self.chat_model,
            "messages": messages,
            "temperature": 0,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": schema},
            },
            "provider": {"require_parameters": True},  # not a backend that ignores the schema
        }
        if self._access.fallback_models:
            request["models"] = [self.chat_model, *self._access.fallback_models]
        return _content_of(await self._post("/chat/completions", request, on_usage))

    async def embed(self, texts: Sequence[str], on_usage: OnUsage) -> list[Vector]:
        """Return a vector per text; see ``Provider.embed``."""
        request = {"model": self.embedding_model, "input": list(texts), "encoding_format": "float"}
        answer = await self._post("/embeddings", request, on_usage)
        return vectors_of(answer, len(texts), self.dimensions, "OpenRouter /embeddings")

    async def check(self) -> None:
        """Request the limits of the key; see ``Provider.check``."""
        await self._transport.get(f"{self._access.base_url}/key", {"Authorization": f"Bearer {self._access.key}"})

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def _post(self, path: str, request: dict[str, Any], on_usage: OnUsage) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._access.key}"}
        answer = await self._transport.post(f"{self._access.base_url}{path}", headers, json=request)
        on_usage(usage_of(answer))
        return answer


def _content_of(answer: dict[str, Any]) -> str:
    choice = mapping(next(iter(array(answer.get("choices"))), None))
    error, message = mapping(choice.get("error")), mapping(choice.get("message"))
    reason = string(choice.get("finish_reason"))
    if error or reason == "error":
        kind = string(mapping(error.get("metadata")).get("error_type"))
        raise error_from_status(integer(error.get("code")) or 502, CHAT, kind)
    if reason == "content_filter" or string(message.get("refusal")):
        raise ProviderRejected("OpenRouter: the model refuses to speak about what this text is about.")
    content = string(message.get("content"))
    if not content.strip():
        raise ProviderBusy("OpenRouter: the answer is empty.")
    return content
