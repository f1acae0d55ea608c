"""GigaChat: OAuth, chat and embeddings, as in its published client and recorded traffic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from chatai_assets.adapters.models.base import Vector
from chatai_assets.adapters.models.http import DEFAULT_DEADLINES, Deadlines, HTTPTransport, ssl_context
from chatai_assets.adapters.models.provider import OnUsage, usage_of, vectors_of
from chatai_assets.domain.errors import AuthenticationFailed, ProviderBusy, ProviderMisconfigured, ProviderRejected
from chatai_assets.domain.json_values import array, integer, mapping, string
from chatai_assets.domain.prompts import Messages, Schema
from chatai_assets.settings.providers import GigaChatSettings

RENEW_BEFORE_S = 60.0
"""Seconds before its end at which a token is renewed, as the official client does."""
MIN_MILLISECONDS = 10**11
"""Times above this are in milliseconds: ``expires_at`` is, ``exp`` of the corporate variant is not."""


class GigaChat:
    """The provider; used from one event loop only.

    Args:
        access: key, addresses and models.
        clock: epoch seconds.
    """

    name = "gigachat"
    is_concurrency_shared = True
    """The limit of concurrent calls belongs to the account, not to a process."""
    window_words = 180
    """``Embeddings`` reads 512 tokens, and a Russian word has two or three."""

    def __init__(
        self, access: GigaChatSettings, deadlines: Deadlines = DEFAULT_DEADLINES, clock: Callable[[], float] = time.time
    ) -> None:
        self.chat_model = access.chat_model
        self.embedding_model = access.embedding_model
        self.dimensions = access.dimensions
        self.concurrency = access.concurrency
        self._access = access
        self._clock = clock
        self._transport = HTTPTransport("GigaChat", ssl_context(access.ca_bundle), deadlines)
        self._token_lock = asyncio.Lock()
        self._token = ""
        self._valid_until = 0.0

    async def chat(self, messages: Messages, schema: Schema, on_usage: OnUsage) -> str:
        """Return the model's answer; see ``Provider.chat``."""
        request: dict[str, Any] = {"model": self.chat_model, "messages": messages, "temperature": 0.01, "stream": False}
        if self._access.structured:  # flat, unlike OpenAI's
            request["response_format"] = {"type": "json_schema", "schema": schema, "strict": True}
        return _content_of(await self._post("/chat/completions", request, on_usage))

    async def embed(self, texts: Sequence[str], on_usage: OnUsage) -> list[Vector]:
        """Return a vector per text; see ``Provider.embed``."""
        answer = await self._post("/embeddings", {"model": self.embedding_model, "input": list(texts)}, on_usage)
        return vectors_of(answer, len(texts), self.dimensions, "GigaChat /embeddings")

    async def check(self) -> None:
        """Fetch a token unless there is one, and ask for the models; see ``Provider.check``."""
        headers = {"Authorization": f"Bearer {await self._valid_token()}"}
        await self._transport.get(f"{self._access.base_url}/models", headers)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def _post(self, path: str, request: dict[str, Any], on_usage: OnUsage) -> dict[str, Any]:
        """Send a request; if its token is refused, drop that token and repeat the call once with another."""
        token = await self._valid_token()
        try:
            return await self._send(path, request, token, on_usage)
        except AuthenticationFailed:
            if token == self._token:
                self._token = ""
            return await self._send(path, request, await self._valid_token(), on_usage)

    async def _send(self, path: str, request: dict[str, Any], token: str, on_usage: OnUsage) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self._transport.post(f"{self._access.base_url}{path}", headers, json=request)
        on_usage(usage_of(answer))
        return answer

    async def _valid_token(self) -> str:
        """Return a valid token; calls that need a new one at the same time share one request."""
        async with self._token_lock:
            if not self._token or self._clock() >= self._valid_until:
                self._token, self._valid_until = await self._fetch_token()
            return self._token

    async def _fetch_token(self) -> tuple[str, float]:
        headers = {"Authorization": f"Basic {self._access.key}", "RqUID": str(uuid4())}
        try:
            answer = await self._transport.post(self._access.auth_url, headers, form={"scope": self._access.scope})
        except ProviderRejected as error:
            raise ProviderMisconfigured(f"{error} Look at GIGACHAT_API_KEY and GIGACHAT_SCOPE.") from None
        token = string(answer.get("access_token")) or string(answer.get("tok"))
        ends = integer(answer.get("expires_at")) or integer(answer.get("exp")) or 0
        if not token:
            raise ProviderBusy("GigaChat: the answer to the request for a token has none.")
        now = self._clock()
        lifetime_s = max((ends / 1_000 if ends > MIN_MILLISECONDS else ends) - now, 0.0)
        return token, now + max(lifetime_s - RENEW_BEFORE_S, lifetime_s / 2)


def _content_of(answer: dict[str, Any]) -> str:
    choice = mapping(next(iter(array(answer.get("choices"))), None))
    reason = string(choice.get("finish_reason"))
    if reason == "blacklist":
        raise ProviderRejected("GigaChat does not speak about what this text is about (finish_reason blacklist).")
    content = string(mapping(choice.get("message")).get("content"))
    if not content.strip() or reason == "error":
        raise ProviderBusy("GigaChat: the answer is empty.")
    return content
