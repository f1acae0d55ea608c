"""Where questions wait for a provider: kept answers first, then so many calls at a time, each in its tenant's turn.

What a question comes to is an answer (JSON) or the ``ChatAIError`` that befell it alone. Calls that are under way when
an outage shows itself are waited for, since they are paid.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.adapters.models.provider import BackgroundLoop, OnUsage, Provider
from chatai_assets.domain.costs import CHARS_PER_TOKEN, SEARCHING, Account, Amount, Cost, Tariff, Usage, amount_of
from chatai_assets.domain.errors import BudgetExceeded, ChatAIError, Deferred, Outage, ProviderBusy, ProviderUnreachable
from chatai_assets.domain.failure_policy import ConsecutiveFailures
from chatai_assets.domain.retry import call_backoff_s
from chatai_assets.llm.cache import ResponseCache
from chatai_assets.llm.rate_limiter import RateLimiter
from chatai_assets.observability import PROVIDER_BATCH, log

CACHE_WRITE_BATCH = 50
"""Answers of one write to the record store: what a kill can lose, besides the calls under way."""

Outcome = Any | ChatAIError
Call = Callable[[Callable[[OnUsage], Awaitable[Any]]], Awaitable[Any]]
"""Makes one call to the provider: in its turn, and again while the provider is busy."""
CallProvider = Callable[[Sequence[ModelInput], Call], Awaitable[Sequence[Outcome]]]
"""Questions of one request -> what they come to."""
Batcher = Callable[[Sequence[ModelInput]], Iterable[Sequence[ModelInput]]]
"""Questions -> requests, each of one tenant."""


def single(questions: Sequence[ModelInput]) -> Iterator[Sequence[ModelInput]]:
    """Yield each question as a request of its own."""
    return ([question] for question in questions)


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """How questions are asked.

    Attributes:
        stage: which pays.
        model: with the version of the prompt: what answers are kept under.
        priced_as: the model's name in the price list.
        ask: asks the questions of one request.
        pack: questions -> requests.
        keep: whether answers go to the record store as they come; if whoever asks keeps them, they are stored here
            only when the work breaks off.
        extra_tokens: what a request takes besides its texts, roughly.
    """

    stage: str
    model: str
    priced_as: str
    ask: CallProvider
    pack: Batcher = single
    keep: bool = True
    extra_tokens: int = 0


@dataclass(slots=True)
class _BatchState:
    """One set of questions while it is worked on.

    Attributes:
        until: the moment (``time.monotonic``) after which nothing more is begun.
        fresh: answers that are not in the record store yet.
        over_budget: tenants of whom nothing more is asked.
    """

    errand: BatchSpec
    until: float
    outcomes: dict[ModelInput, Outcome] = field(default_factory=dict)
    fresh: dict[ModelInput, Any] = field(default_factory=dict)
    streak: ConsecutiveFailures = field(default_factory=ConsecutiveFailures)
    over_budget: dict[str, BudgetExceeded] = field(default_factory=dict)
    outage: Outage | None = None


class LLMClient:
    """All questions of a process to one provider.

    Args:
        tariff: what its models cost.
        patience_s: seconds that questions asked together may take; those whose turn did not come are ``Deferred``.
        item_deadline_s: seconds that one request may take, with all its retries.
    """

    def __init__(
        self,
        loop: BackgroundLoop,
        provider: Provider,
        kept: ResponseCache,
        turnstile: RateLimiter,
        tariff: Tariff,
        patience_s: float,
        item_deadline_s: float,
    ) -> None:
        self.provider = provider
        self._loop = loop
        self._kept = kept
        self._turnstile = turnstile
        self._tariff = tariff
        self._patience_s = patience_s
        self._item_deadline_s = item_deadline_s
        self._paid = Cost()
        self._slots = asyncio.Semaphore(provider.concurrency)
        self._retries = 0
        self._told: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()

    @property
    def figures(self) -> Counter[str]:
        """Hits, misses, calls, retries, tokens and waits since the beginning."""
        own = {"provider_retries": self._retries, **self._paid_figures()}
        return Counter(**self._kept.figures, **self._turnstile.figures, **own)

    def _paid_figures(self) -> dict[str, int]:
        names = ("prompt_tokens", "completion_tokens", "embedding_tokens", "unpriced_tokens", "money_nano")
        tokens = amount_of(self._paid).tokens
        return {"provider_tokens": tokens, **{f"provider_{name}": self._paid[name] for name in names}}

    def pop_usage(self) -> Counter[str]:
        """Return what was counted since the last time; see ``Metered``."""
        now, before = self.figures, self._taken
        self._taken = now
        return Counter({name: count - before[name] for name, count in now.items()})

    def answers(self, questions: Sequence[ModelInput], errand: BatchSpec) -> list[Outcome]:
        """Return what the questions come to, in order; equal ones are asked once.

        Raises:
            Outage: the provider, or the record store, is down for all.
        """
        unique = dict.fromkeys(questions)
        known = self._kept.find(errand.model, unique)
        missing = [question for question in unique if question not in known]
        if unique:
            self._loop.run(self._count(unique, known, errand.stage))
            known |= self._loop.run(self._work(errand.pack(missing), _BatchState(errand, self._until())))
        self._tell(errand.model, len(questions))
        return [known[question] for question in questions]

    def forget(self, tenant_id: str) -> None:
        """Forget a tenant's answers in memory."""
        self._kept.forget(tenant_id)

    def close(self) -> None:
        """Let go of what is reserved, and close all connections."""
        self._loop.run(self._turnstile.close())
        self._loop.run(self.provider.close())

    def check(self) -> None:
        """Ask the provider for something free; raises ``ChatAIError`` where it does not answer."""
        self._loop.run(self.provider.check())

    async def _count(self, asked: Iterable[ModelInput], known: Collection[ModelInput], stage: str) -> None:
        """Write down which answers were kept and which must be paid for."""
        for question in asked:
            found = "hits" if question in known else "misses"
            self._turnstile.leave(None, _account(question, stage), Cost({found: 1}))

    def _until(self) -> float:
        return time.monotonic() + self._patience_s

    async def _work(self, requests: Iterable[Sequence[ModelInput]], shift: _BatchState) -> dict[ModelInput, Outcome]:
        tasks = [asyncio.create_task(self._serve(request, shift)) for request in requests]
        whole = False
        try:
            await asyncio.gather(*tasks)
            whole = shift.outage is None
        finally:  # a deadline ends up here as well, and what nobody foresaw
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # what they cost is told as they end
            await self._turnstile.settle()
            await self._store(shift, always=not whole)
        if shift.outage or shift.streak.is_outage(at_end=True):
            raise shift.outage or self._down(shift)
        return shift.outcomes

    async def _serve(self, request: Sequence[ModelInput], shift: _BatchState) -> None:
        """Ask one request; what befalls it becomes the outcome of its questions."""
        async with self._slots:
            if shift.outage:
                return
            try:
                async with asyncio.timeout(self._item_deadline_s):
                    outcomes = await shift.errand.ask(request, lambda call: self._persist(request, call, shift))
            except TimeoutError:
                late = f"{self.provider.name}: one item took longer than {self._item_deadline_s:g} s."
                outcomes = [ProviderBusy(late)] * len(request)
            except Outage as error:
                shift.outage = shift.outage or error
                return
            except ChatAIError as error:
                outcomes = [error] * len(request)
        self._note(request, outcomes, shift)
        if len(shift.fresh) >= CACHE_WRITE_BATCH:
            await self._store(shift)

    def _note(self, request: Sequence[ModelInput], outcomes: Sequence[Outcome], shift: _BatchState) -> None:
        shift.outcomes.update(zip(request, outcomes, strict=True))
        answers = {q: said for q, said in zip(request, outcomes, strict=True) if not isinstance(said, ChatAIError)}
        self._kept.remember(shift.errand.model, answers)
        shift.fresh.update(answers)
        for outcome in outcomes[:1]:
            shift.streak.note(outcome if isinstance(outcome, ChatAIError) else None)
        if shift.streak.is_outage(at_end=False) and not shift.outage:
            shift.outage = self._down(shift)

    async def _persist(
        self, request: Sequence[ModelInput], call: Callable[[OnUsage], Awaitable[Any]], shift: _BatchState
    ) -> Any:
        """Make a call in the tenant's turn, and again while the provider is busy and there is time."""
        tries = 0
        while True:
            tries += 1
            if time.monotonic() > shift.until:
                raise Deferred("The time of the batch is used up before this item's turn.", 0.0)
            try:
                return await self._call(request, call, shift)
            except ProviderBusy as error:
                pause = call_backoff_s(tries, error.retry_after, random.random())  # noqa: S311 - spreads calls
                if pause is None or shift.outage or time.monotonic() + pause > shift.until:
                    raise
                self._retries += 1
                await asyncio.sleep(pause)

    async def _call(
        self, request: Sequence[ModelInput], call: Callable[[OnUsage], Awaitable[Any]], shift: _BatchState
    ) -> Any:
        """Make a call in the tenant's turn, and have written down what it cost, whatever came of it."""
        account, usages = _account(request[0], shift.errand.stage), list[Usage]()
        if refused := shift.over_budget.get(account.tenant_id):
            raise refused
        try:
            turn = await self._turnstile.acquire(account.tenant_id, shift.until, self._estimate(request, shift.errand))
        except BudgetExceeded as error:
            shift.over_budget[account.tenant_id] = error
            raise
        begun = not shift.outage
        try:
            if shift.outage:
                raise shift.outage
            return await call(usages.append)
        finally:
            cost = self._tariff.cost(shift.errand.priced_as, usages) if begun else Cost()
            self._paid.update(cost)
            self._turnstile.leave(turn, account, cost)

    def _estimate(self, request: Sequence[ModelInput], errand: BatchSpec) -> Amount:
        tokens = errand.extra_tokens + sum(len(question.text) for question in request) // CHARS_PER_TOKEN + 1
        return Amount(tokens, self._tariff.money_nano(errand.priced_as, Usage(prompt=tokens)) or 0)

    async def _store(self, shift: _BatchState, *, always: bool = False) -> None:
        if shift.fresh and (shift.errand.keep or always):
            fresh, shift.fresh = shift.fresh, {}
            await asyncio.to_thread(self._kept.store, shift.errand.model, fresh)

    def _down(self, shift: _BatchState) -> ProviderUnreachable:
        said = next((str(o) for o in reversed(shift.outcomes.values()) if isinstance(o, ProviderBusy)), "")
        items = "1 item" if shift.streak.busy == 1 else f"{shift.streak.busy} items"
        return ProviderUnreachable(f"{items} got no answer: {said}")

    def _tell(self, model: str, asked: int) -> None:
        """Log what a set of questions cost."""
        now = self.figures
        log.info(PROVIDER_BATCH, provider=self.provider.name, model=model, asked=asked, **(now - self._told))
        self._told = now


def _account(question: ModelInput, stage: str) -> Account:
    stream, hour = question.purpose
    return Account(question.tenant_id, stream, stage if hour else SEARCHING, hour)
