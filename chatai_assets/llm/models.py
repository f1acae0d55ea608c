"""Tagger, extractor and embedder on top of any provider: prompts, parsing of answers, one repair of a bad answer."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import numpy as np

from chatai_assets.adapters.models.base import ModelInput, Vector
from chatai_assets.adapters.nlp.russian import name_form
from chatai_assets.domain import prompts
from chatai_assets.domain.errors import ChatAIError, InvalidModelResponse, PayloadTooLarge
from chatai_assets.domain.extraction import Entity, Extraction, Relation
from chatai_assets.domain.search.sparse import windows
from chatai_assets.domain.tagging import has_usable_word
from chatai_assets.domain.text.transliteration import is_cyrillic
from chatai_assets.llm.cache import cache_key
from chatai_assets.llm.canary import Canary
from chatai_assets.llm.client import BatchSpec, Call, LLMClient, Outcome

TEXTS_AT_ONCE = 32
CHARS_AT_ONCE = 100_000
"""Of one request for embeddings; no provider documents a limit, and larger ones are no faster."""
WINDOW_CHARS_PER_WORD = 12
"""A window without spaces is cut here: no provider takes it whole."""

PROMPT_TOKENS = 700
"""Tokens of a conversation in addition to the text it is about, roughly: instructions, schema and answer."""

T = TypeVar("T")


class LLMTagger:
    """Tags from a chat model."""

    def __init__(self, client: LLMClient) -> None:
        self._client = client
        self.pop_usage = client.pop_usage
        self.check = client.check

    @property
    def model(self) -> str:
        """Provider, model and version of the prompt."""
        provider = self._client.provider
        return f"{provider.name}:{provider.chat_model}:{prompts.TAGS_PROMPT}"

    def cache_key(self, question: ModelInput) -> str | None:
        """Return the fingerprint under which the answer is cached; see ``Cacheable``."""
        return cache_key(self.model, question) if has_usable_word(question.text) else None

    def tag(self, questions: Sequence[ModelInput]) -> list[Sequence[str] | ChatAIError]:
        """Return the tags of each text that occur in it; a text without words is not sent.

        Raises:
            Outage: the provider is down for all.
        """
        with_words, canary = [question for question in questions if has_usable_word(question.text)], Canary()
        found = dict(zip(with_words, self._client.answers(with_words, self._spec(canary)), strict=True))
        return [canary.classify(found.get(question, ())) for question in questions]

    def _spec(self, canary: Canary) -> BatchSpec:
        send, priced_as = partial(self._send, canary), self._client.provider.chat_model
        return BatchSpec("tag", self.model, priced_as, send, extra_tokens=PROMPT_TOKENS)

    async def _send(self, canary: Canary, request: Sequence[ModelInput], call: Call) -> list[Outcome]:
        (question,) = request
        return [await canary.run(partial(self._tags, call), question.text)]

    async def _tags(self, call: Call, text: str) -> list[str]:
        messages, read = prompts.tags_messages(text), partial(prompts.read_tags, text=text)
        return await _conversation(self._client, call, messages, prompts.TAGS_SCHEMA, read)


class LLMExtractor:
    """Entities and relations from a chat model."""

    def __init__(self, client: LLMClient) -> None:
        self._client = client
        self.pop_usage = client.pop_usage
        self.check = client.check

    @property
    def model(self) -> str:
        """Provider, model and version of the prompt."""
        provider = self._client.provider
        return f"{provider.name}:{provider.chat_model}:{prompts.FACTS_PROMPT}"

    def cache_key(self, question: ModelInput) -> str | None:
        """Return the fingerprint under which the answer is cached; see ``Cacheable``."""
        return cache_key(self.model, question) if has_usable_word(question.text) else None

    def extract(self, questions: Sequence[ModelInput]) -> list[Extraction | ChatAIError]:
        """Return the entities and relations of each chunk that its text supports; a chunk without words is not sent.

        Raises:
            Outage: the provider is down for all.
        """
        with_words, canary = [question for question in questions if has_usable_word(question.text)], Canary()
        found = dict(zip(with_words, self._client.answers(with_words, self._spec(canary)), strict=True))
        return [_extraction(canary.classify(found.get(question, {}))) for question in questions]

    def _spec(self, canary: Canary) -> BatchSpec:
        send, priced_as = partial(self._send, canary), self._client.provider.chat_model
        return BatchSpec("enrich", self.model, priced_as, send, extra_tokens=PROMPT_TOKENS)

    async def _send(self, canary: Canary, request: Sequence[ModelInput], call: Call) -> list[Outcome]:
        (question,) = request
        return [await canary.run(partial(self._facts, call), question.text)]

    async def _facts(self, call: Call, chunk: str) -> dict[str, Any]:
        messages, read = prompts.facts_messages(chunk), partial(prompts.read_facts, chunk=chunk, caseless=_caseless)
        return asdict(await _conversation(self._client, call, messages, prompts.FACTS_SCHEMA, read))


def _caseless(name: str, kind: str) -> str:
    return name_form(name, kind) if is_cyrillic(name) else name


def _extraction(answer: Any) -> Extraction | ChatAIError:
    if isinstance(answer, ChatAIError):
        return answer
    entities = tuple(Entity(**row) for row in answer.get("entities", ()))
    return Extraction(entities, tuple(Relation(**row) for row in answer.get("relations", ())))


async def _conversation(
    client: LLMClient, call: Call, messages: prompts.Messages, schema: prompts.Schema, read: Callable[[str], T]
) -> T:
    """Ask and parse the answer; ask for a repaired answer if it breaks the rules.

    Raises:
        InvalidModelResponse: the second answer breaks them as well.
    """
    answer = await call(partial(client.provider.chat, messages, schema))
    try:
        return read(answer)
    except InvalidModelResponse as error:
        messages = prompts.repair_messages(messages, answer, error)
    return read(await call(partial(client.provider.chat, messages, schema)))


class RemoteEmbedder:
    """Vectors from a provider; a text longer than its model reads is the mean of its windows."""

    def __init__(self, client: LLMClient) -> None:
        self._client = client
        self.pop_usage = client.pop_usage
        self.check = client.check

    @property
    def model(self) -> str:
        """Provider, model, and how long texts are cut."""
        provider = self._client.provider
        return f"{provider.name}:{provider.embedding_model}:{provider.window_words}w"

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        return self._client.provider.dimensions

    def embed(self, questions: Sequence[ModelInput]) -> list[Vector | ChatAIError]:
        """Return one unit-length vector per text; an empty text has one too.

        Raises:
            Outage: the provider is down for all.
        """
        parts = [[each._replace(text=part) for part in self._windows(each.text)] for each in questions]
        asked = list(dict.fromkeys(part for windows_ in parts for part in windows_))
        priced_as = self._client.provider.embedding_model
        spec = BatchSpec("embed", self.model, priced_as, self._send, embedding_requests, stores_answers=False)
        found = dict(zip(asked, self._client.answers(asked, spec), strict=True))
        return [_mean([found[part] for part in windows_]) for windows_ in parts]

    def _windows(self, text: str) -> list[str]:
        words = self._client.provider.window_words
        cut = [part.strip()[: words * WINDOW_CHARS_PER_WORD] for part in windows(text, words)]
        return [part for part in cut if part] or ["-"]  # providers reject empty texts

    async def _send(self, request: Sequence[ModelInput], call: Call) -> list[Outcome]:
        """Return the vectors of a request as base64; a request that is too large is sent in halves."""
        texts = [question.text for question in request]
        try:
            vectors = await call(partial(self._client.provider.embed, texts))
        except PayloadTooLarge:
            if len(request) == 1:
                raise
            middle = len(request) // 2
            return [*await self._send(request[:middle], call), *await self._send(request[middle:], call)]
        return [b64encode(vector.tobytes()).decode("ascii") for vector in vectors]


def embedding_requests(questions: Sequence[ModelInput]) -> Iterator[list[ModelInput]]:
    """Yield the questions in requests of one tenant each, within the limits of count and size."""
    request: list[ModelInput] = []
    chars = 0
    for question in sorted(questions, key=lambda question: question.tenant_id):
        full = len(request) == TEXTS_AT_ONCE or chars + len(question.text) > CHARS_AT_ONCE
        if request and (full or request[0].tenant_id != question.tenant_id):
            yield request
            request, chars = [], 0
        request.append(question)
        chars += len(question.text)
    if request:
        yield request


def _mean(encoded: Sequence[Any]) -> Vector | ChatAIError:
    for part in encoded:
        if isinstance(part, ChatAIError):
            return part
    vectors = [np.frombuffer(b64decode(part), dtype="<f4") for part in encoded]
    total = np.sum(vectors, axis=0, dtype=np.float64)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)
