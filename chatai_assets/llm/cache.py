"""Cache of provider answers: in memory for a day, in the record store until they are forgotten."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cachetools import TTLCache

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.domain.ids import fingerprint
from chatai_assets.storage.engine import Records
from chatai_assets.storage.llm_responses import find_results, store_results

MEMORY_ENTRIES = 10_000
MEMORY_S = 86_400.0
CacheKey = tuple[str, str]
"""Tenant and fingerprint."""


class ResponseCache:
    """Answers of one provider by fingerprint of the question; safe to share between threads.

    Args:
        provider: name of the provider.
        entries: answers in memory at most; the least recently used one goes first.
        ttl_s: seconds after which an answer leaves the memory.
        clock: seconds.

    Attributes:
        figures: ``memory_hits``, ``store_hits`` and ``misses`` since the beginning.
    """

    def __init__(
        self,
        records: Records,
        provider: str,
        *,
        entries: int = MEMORY_ENTRIES,
        ttl_s: float = MEMORY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._provider = provider
        self._memory: TTLCache[CacheKey, Any] = TTLCache(entries, ttl_s, clock)
        self._lock = threading.Lock()
        self.figures: Counter[str] = Counter()

    @property
    def size(self) -> int:
        """Entries in memory."""
        with self._lock:
            return len(self._memory)

    def find(self, model: str, questions: Iterable[ModelInput]) -> dict[ModelInput, Any]:
        """Return the answers of a model that are cached."""
        keys = {question: _cache_key(model, question) for question in questions}
        with self._lock:
            found = {question: answer for question, key in keys.items() if (answer := self._memory.get(key))}
        self.figures["memory_hits"] += len(found)
        stored = self._find_stored({question: key for question, key in keys.items() if question not in found})
        self.figures["store_hits"] += len(stored)
        self.figures["misses"] += len(keys) - len(found) - len(stored)
        self.remember(model, stored)
        return found | stored

    def _find_stored(self, keys: Mapping[ModelInput, CacheKey]) -> dict[ModelInput, Any]:
        by_tenant: dict[str, list[str]] = {}
        for tenant_id, made_from in keys.values():
            by_tenant.setdefault(tenant_id, []).append(made_from)
        if not by_tenant:
            return {}
        with self._records.reading() as connection:
            found = {tenant: find_results(connection, tenant, wanted) for tenant, wanted in by_tenant.items()}
        return {
            question: found[tenant][made_from]
            for question, (tenant, made_from) in keys.items()
            if made_from in found[tenant]
        }

    def forget(self, tenant_id: str) -> None:
        """Drop a tenant's answers from memory; those in the record store belong to items (``provider_results``)."""
        with self._lock:
            for key in [key for key in self._memory if key[0] == tenant_id]:
                del self._memory[key]

    def remember(self, model: str, answers: Mapping[ModelInput, Any]) -> None:
        """Put answers into memory."""
        with self._lock:
            self._memory.update({_cache_key(model, question): answer for question, answer in answers.items()})

    def store(self, model: str, answers: Mapping[ModelInput, Any]) -> None:
        """Write answers, which are JSON, to the record store."""
        now, rows = time.time(), []
        for question, answer in answers.items():
            tenant_id, made_from = _cache_key(model, question)
            rows.append(
                {
                    "tenant_id": tenant_id,
                    "fingerprint": made_from,
                    "provider": self._provider,
                    "answer": answer,
                    "written_at": now,
                }
            )
        with self._records.begin() as connection:
            store_results(connection, rows)


def cache_key(model: str, question: ModelInput) -> str:
    """Return the fingerprint under which a model's answer to a question is cached."""
    return fingerprint(model, question.text)


def _cache_key(model: str, question: ModelInput) -> CacheKey:
    return question.tenant_id, cache_key(model, question)
