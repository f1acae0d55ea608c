"""Where questions wait for a provider: kept answers first, then so many calls at a time, each in its tenant's turn.

What a question comes to is an answer (JSON) or the ``ChatAIError`` that befell it alone. Calls that are under way when
an outage shows itself are waited for, since they are paid.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatai_assets.adapters.models.kept import KeptAnswers
from chatai_assets.adapters.models.ports import Question
from chatai_assets.adapters.models.provider import BackgroundLoop, Provider
from chatai_assets.adapters.models.turnstile import Turnstile
from chatai_assets.domain.errors import ChatAIError, NotAsked, Outage, ProviderBusy, ProviderUnreachable
from chatai_assets.domain.retries import Streak, pause_s
from chatai_assets.observability import PROVIDER_BATCH, log

KEPT_AT_ONCE = 50
"""Answers of one write to the record store: what a kill can lose, besides the calls under way."""

Outcome = Any | ChatAIError
Call = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Makes one call to the provider: in its turn, and again while the provider is busy."""
Ask = Callable[[Sequence[Question], Call], Awaitable[Sequence[Outcome]]]
"""Questions of one request -> what they come to."""
Pack = Callable[[Sequence[Question]], Iterable[Sequence[Question]]]
"""Questions -> requests, each of one tenant."""


@dataclass(slots=True)
class _Shift:
    """One set of questions while it is worked on.

    Attributes:
        until: the moment (``time.monotonic``) after which nothing more is begun.
        keep: whether answers go to the record store as they come.
        fresh: answers that are not in the record store yet.
    """

    model: str
    until: float
    keep: bool
    outcomes: dict[Question, Outcome] = field(default_factory=dict)
    fresh: dict[Question, Any] = field(default_factory=dict)
    streak: Streak = field(default_factory=Streak)
    outage: Outage | None = None


def one_by_one(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    """Yield each question as a request of its own."""
    return ([question] for question in questions)


class Desk:
    """All questions of a process to one provider.

    Args:
        patience_s: seconds that questions asked together may take; those whose turn did not come are ``NotAsked``.
    """

    def __init__(
        self, loop: BackgroundLoop, provider: Provider, kept: KeptAnswers, turnstile: Turnstile, patience_s: float
    ) -> None:
        self.provider = provider
        self._loop = loop
        self._kept = kept
        self._turnstile = turnstile
        self._patience_s = patience_s
        self._streams = asyncio.Semaphore(provider.streams)
        self._retries = 0
        self._told: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()

    @property
    def figures(self) -> Counter[str]:
        """Hits, misses, calls, retries, tokens and waits since the beginning."""
        own = {"provider_retries": self._retries, "provider_tokens": self.provider.tokens}
        return Counter(**self._kept.figures, **self._turnstile.figures, **own)

    def take_figures(self) -> Counter[str]:
        """Return what was counted since the last time; see ``Metered``."""
        now = self.figures
        fresh, self._taken = now - self._taken, now
        return fresh

    def answers(
        self, questions: Sequence[Question], model: str, ask: Ask, pack: Pack = one_by_one, *, keep: bool = True
    ) -> list[Outcome]:
        """Return what the questions come to, in order; equal ones are asked once.

        Args:
            model: with the version of the prompt: what answers are kept under.
            ask: asks the questions of one request.
            pack: questions -> requests.
            keep: whether answers go to the record store; if whoever asks keeps them, they are stored here only when
                the work breaks off.

        Raises:
            Outage: the provider, or the record store, is down for all.
        """
        unique = dict.fromkeys(questions)
        known = self._kept.find(model, unique)
        if missing := [question for question in unique if question not in known]:
            known |= self._loop.run(self._work(pack(missing), _Shift(model, self._until(), keep=keep), ask))
        self._tell(model, len(questions))
        return [known[question] for question in questions]

    def _until(self) -> float:
        return time.monotonic() + self._patience_s

    async def _work(self, requests: Iterable[Sequence[Question]], shift: _Shift, ask: Ask) -> dict[Question, Outcome]:
        tasks = [asyncio.create_task(self._serve(request, shift, ask)) for request in requests]
        whole = False
        try:
            await asyncio.gather(*tasks)
            whole = shift.outage is None
        finally:  # a deadline ends up here as well, and what nobody foresaw
            for task in tasks:
                task.cancel()
            await self._store(shift, always=not whole)
        if shift.outage or shift.streak.is_outage(at_end=True):
            raise shift.outage or self._down(shift)
        return shift.outcomes

    async def _serve(self, request: Sequence[Question], shift: _Shift, ask: Ask) -> None:
        """Ask one request; what befalls it becomes the outcome of its questions."""
        async with self._streams:
            if shift.outage:
                return
            try:
                outcomes = await ask(request, lambda call: self._persist(request[0].tenant_id, call, shift))
            except Outage as error:
                shift.outage = shift.outage or error
                return
            except ChatAIError as error:
                outcomes = [error] * len(request)
        self._note(request, outcomes, shift)
        if len(shift.fresh) >= KEPT_AT_ONCE:
            await self._store(shift)

    def _note(self, request: Sequence[Question], outcomes: Sequence[Outcome], shift: _Shift) -> None:
        shift.outcomes.update(zip(request, outcomes, strict=True))
        answers = {q: said for q, said in zip(request, outcomes, strict=True) if not isinstance(said, ChatAIError)}
        self._kept.remember(shift.model, answers)
        shift.fresh.update(answers)
        for outcome in outcomes[:1]:
            shift.streak.note(outcome if isinstance(outcome, ChatAIError) else None)
        if shift.streak.is_outage(at_end=False) and not shift.outage:
            shift.outage = self._down(shift)

    async def _persist(self, tenant_id: str, call: Callable[[], Awaitable[Any]], shift: _Shift) -> Any:
        """Make a call in the tenant's turn, and again while the provider is busy and there is time."""
        tries = 0
        while True:
            tries += 1
            if time.monotonic() > shift.until:
                raise NotAsked("The time of the batch is used up before this item's turn.", 0.0)
            await self._turnstile.enter(tenant_id, shift.until)
            if shift.outage:
                raise shift.outage
            try:
                return await call()
            except ProviderBusy as error:
                pause = pause_s(tries, error.retry_after, random.random())  # noqa: S311 - spreads calls
                if pause is None or shift.outage or time.monotonic() + pause > shift.until:
                    raise
                self._retries += 1
                await asyncio.sleep(pause)

    async def _store(self, shift: _Shift, *, always: bool = False) -> None:
        if shift.fresh and (shift.keep or always):
            fresh, shift.fresh = shift.fresh, {}
            await asyncio.to_thread(self._kept.store, shift.model, fresh)

    def _down(self, shift: _Shift) -> ProviderUnreachable:
        said = next((str(o) for o in reversed(shift.outcomes.values()) if isinstance(o, ProviderBusy)), "")
        return ProviderUnreachable(f"{self.provider.name} is too busy for {shift.streak.busy} items: {said}")

    def _tell(self, model: str, asked: int) -> None:
        """Log what a set of questions cost."""
        now = self.figures
        log.info(PROVIDER_BATCH, provider=self.provider.name, model=model, asked=asked, **(now - self._told))
        self._told = now
