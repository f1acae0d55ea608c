"""Answers that were paid for: in memory for a day, in the record store for as long as it lives."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.domain.ids import fingerprint
from chatai_assets.storage.engine import Records
from chatai_assets.storage.llm_responses import find_results, store_results

MEMORY_ENTRIES = 10_000
MEMORY_S = 86_400.0
CacheKey = tuple[str, str]
"""Tenant and fingerprint."""


class TTLCache:
    """The latest answers, each for a limited time; safe to share between threads.

    Args:
        entries: at most; the one that was asked for longest ago goes first.
        seconds: after which an entry goes.
        clock: seconds.
    """

    def __init__(
        self, entries: int = MEMORY_ENTRIES, seconds: float = MEMORY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._entries = entries
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[CacheKey, tuple[float, Any]] = OrderedDict()
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, place: CacheKey) -> Any:
        """Return an answer, or None."""
        with self._turn:
            until, answer = self._kept.get(place, (0.0, None))
            if answer is None:
                return None
            if until <= self._clock():
                del self._kept[place]
                return None
            self._kept.move_to_end(place)
            return answer

    def forget(self, tenant_id: str) -> None:
        """Forget all answers of a tenant."""
        with self._turn:
            for place in [place for place in self._kept if place[0] == tenant_id]:
                del self._kept[place]

    def keep(self, place: CacheKey, answer: Any) -> None:
        """Keep an answer."""
        with self._turn:
            self._kept[place] = (self._clock() + self._seconds, answer)
            self._kept.move_to_end(place)
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)


class ResponseCache:
    """Answers of one provider, by fingerprint of what was asked.

    Attributes:
        figures: ``memory_hits``, ``store_hits`` and ``misses`` since the beginning.
    """

    def __init__(self, records: Records, provider: str, memory: TTLCache | None = None) -> None:
        self._records = records
        self._provider = provider
        self._memory = TTLCache() if memory is None else memory
        self.figures: Counter[str] = Counter()

    @property
    def size(self) -> int:
        """Entries in memory."""
        return len(self._memory)

    def find(self, model: str, questions: Iterable[ModelInput]) -> dict[ModelInput, Any]:
        """Return the answers of a model that are kept."""
        places = {question: _cache_key(model, question) for question in questions}
        found = {question: answer for question, place in places.items() if (answer := self._memory.find(place))}
        self.figures["memory_hits"] += len(found)
        stored = self._stored({question: place for question, place in places.items() if question not in found})
        self.figures["store_hits"] += len(stored)
        self.figures["misses"] += len(places) - len(found) - len(stored)
        for question, answer in stored.items():
            self._memory.keep(places[question], answer)
        return found | stored

    def _stored(self, places: Mapping[ModelInput, CacheKey]) -> dict[ModelInput, Any]:
        by_tenant: dict[str, list[str]] = {}
        for tenant_id, made_from in places.values():
            by_tenant.setdefault(tenant_id, []).append(made_from)
        if not by_tenant:
            return {}
        with self._records.reading() as connection:
            found = {tenant: find_results(connection, tenant, asked) for tenant, asked in by_tenant.items()}
        return {
            question: found[tenant][made_from]
            for question, (tenant, made_from) in places.items()
            if made_from in found[tenant]
        }

    def forget(self, tenant_id: str) -> None:
        """Forget a tenant's answers in memory; those in the record store belong to items (``provider_results``)."""
        self._memory.forget(tenant_id)

    def remember(self, model: str, answers: Mapping[ModelInput, Any]) -> None:
        """Keep answers in memory."""
        for question, answer in answers.items():
            self._memory.keep(_cache_key(model, question), answer)

    def store(self, model: str, answers: Mapping[ModelInput, Any]) -> None:
        """Keep answers, which are JSON, in the record store."""
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
    """Return the fingerprint under which a model's answer to a question is kept."""
    return fingerprint(model, question.text)


def _cache_key(model: str, question: ModelInput) -> CacheKey:
    return question.tenant_id, cache_key(model, question)
