"""Protocol of a provider of models, the event loop of calls to providers, and parsing that providers share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from chatai_assets.adapters.models.base import Vector
from chatai_assets.domain.costs import Usage
from chatai_assets.domain.errors import ProviderBusy, ProviderMisconfigured
from chatai_assets.domain.json_values import array, integer, mapping
from chatai_assets.domain.prompts import Messages, Schema

T = TypeVar("T")
OnUsage = Callable[[Usage], None]
"""Receives the usage of a call as soon as the provider reports it, also if the answer turns out to be useless."""
CLEANUP_TIMEOUT_S = 2.0
"""How long cancelled work may take to store the answers it has; less than a deadline's grace."""
MAX_CHARGE = 1e6
"""Dollars; no call costs more, and a sum must stay a number."""


class Provider(Protocol):
    """One call per method: no retries, quotas or checks of the answer, which are the same for all providers."""

    @property
    def name(self) -> str:
        """A key of ``domain.providers.PROVIDERS``."""
        ...

    @property
    def chat_model(self) -> str:
        """The model that answers ``chat``."""
        ...

    @property
    def embedding_model(self) -> str:
        """The model that answers ``embed``."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of its vectors."""
        ...

    @property
    def window_words(self) -> int:
        """Words of the longest text that its embedding model reads whole."""
        ...

    @property
    def concurrency(self) -> int:
        """Calls at a time."""
        ...

    @property
    def is_concurrency_shared(self) -> bool:
        """Whether ``concurrency`` is a limit of all processes together, and not of each."""
        ...

    async def chat(self, messages: Messages, schema: Schema, on_usage: OnUsage) -> str:
        """Return the model's answer; the schema is requested if the model supports schemas.

        Raises:
            ProviderBusy: another attempt may succeed, also where the answer was empty.
            ProviderRejected: it refuses this conversation.
            Outage: it refuses every request.
        """
        ...

    async def embed(self, texts: Sequence[str], on_usage: OnUsage) -> Sequence[Vector]:
        """Return a unit-length vector per text, in order.

        Raises:
            PayloadTooLarge: fewer texts may pass.
            ProviderBusy: another attempt may succeed.
            Outage: it refuses every request.
        """
        ...

    async def check(self) -> None:
        """Request something that is free, to see whether the provider answers and accepts the key.

        Raises:
            ChatAIError: it does not.
        """
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class BackgroundLoop:
    """An event loop in its own thread: connections and tokens outlive a call, and signals do not interrupt it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="providers", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work and return its result; an exception here, as of a deadline, cancels it and lets it clean up."""
        ended = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_signal_end(work, ended), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            ended.wait(CLEANUP_TIMEOUT_S)
            raise


async def _signal_end(work: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await work
    finally:
        ended.set()


async def _cancel_all() -> None:
    """Cancel what still runs in the loop, as after a deadline."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


def usage_of(answer: Any) -> Usage:
    """Return the usage of an answer, which reports it once, for each embedding, or not at all."""
    embeds = "data" in mapping(answer)
    reports = [mapping(answer), *map(mapping, array(mapping(answer).get("data")))]
    used = [mapping(each.get("usage")) for each in reports]
    read = sum(integer(usage.get("prompt_tokens")) or 0 for usage in used)
    total = sum(integer(usage.get("total_tokens")) or integer(usage.get("prompt_tokens")) or 0 for usage in used)
    dollars = next((cost for usage in used if (cost := _amount(usage.get("cost"))) is not None), None)
    if embeds:
        return Usage(embedding=total, dollars=dollars)
    return Usage(prompt=read, completion=max(total - read, 0), dollars=dollars)


def _amount(value: Any) -> float | None:
    """Return the value if it is a possible amount of money."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < MAX_CHARGE else None


def vectors_of(answer: Any, count: int, dimensions: int, place: str) -> list[Vector]:
    """Return the vectors of an answer in the order of the texts, at unit length.

    They are matched by ``index``, or by order if none has an index.

    Raises:
        ProviderBusy: vectors are missing, doubled, or no numbers.
        ProviderMisconfigured: their length differs from the settings.
    """
    rows = [mapping(row) for row in array(mapping(answer).get("data"))]
    indexes = [integer(row.get("index")) for row in rows]
    if not any("index" in row for row in rows):
        indexes = list(range(len(rows)))
    if len(rows) != count or {*indexes} != {*range(count)}:
        raise ProviderBusy(f"{place}: the answer does not have one embedding per text.")
    found = {at: row.get("embedding") for at, row in zip(indexes, rows, strict=True)}
    return [_unit(found[at], dimensions, place) for at in range(count)]


def _unit(numbers: Any, dimensions: int, place: str) -> Vector:
    try:
        vector = np.asarray(numbers, dtype=np.float64)
    except (ValueError, TypeError):
        raise ProviderBusy(f"{place}: an embedding is no list of numbers.") from None
    if vector.ndim == 1 and len(vector) and len(vector) != dimensions:
        raise ProviderMisconfigured(
            f"{place}: embeddings have {len(vector)} numbers instead of {dimensions}: the setting of the dimensions "
            f"and the model do not fit."
        )
    length = float(np.linalg.norm(vector))
    if vector.ndim != 1 or not np.isfinite(length) or not length:
        raise ProviderBusy(f"{place}: an embedding is no direction.")
    return (vector / length).astype(np.float32)
