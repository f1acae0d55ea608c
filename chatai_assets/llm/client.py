"""Client for one LLM provider: response cache, bounded concurrency, per-tenant rate limit, retries.

The outcome of a question is its answer (JSON) or the ``ChatAIError`` of this question alone. When an outage shows
itself, calls that are in flight are waited for, since they are paid.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
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
"""Answers of one write to the record store: what a kill can lose, in addition to the calls in flight."""

Outcome = Any | ChatAIError
ProviderCall = Callable[[OnUsage], Awaitable[Any]]
"""One call to the provider; reports what it used."""
Call = Callable[[ProviderCall], Awaitable[Any]]
"""Makes a call to the provider under the tenant's rate limit, with retries while the provider is busy."""
SendRequest = Callable[[Sequence[ModelInput], Call], Awaitable[Sequence[Outcome]]]
"""Questions of one request -> their outcomes."""
Batcher = Callable[[Sequence[ModelInput]], Iterable[Sequence[ModelInput]]]
"""Questions -> requests, each of one tenant."""


def single(questions: Sequence[ModelInput]) -> Iterator[Sequence[ModelInput]]:
    """Yield each question as a request of its own."""
    return ([question] for question in questions)


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """How a batch of questions is sent.

    Attributes:
        stage: charged with the costs.
        model: with the version of the prompt; part of the cache key.
        priced_as: the model's name in the price list.
        send: sends the questions of one request.
        batcher: questions -> requests.
        stores_answers: whether answers are written to the record store as they come. If the caller stores them, they
            are written here only when the batch breaks off.
        extra_tokens: tokens of a request in addition to its texts, roughly.
    """

    stage: str
    model: str
    priced_as: str
    send: SendRequest
    batcher: Batcher = single
    stores_answers: bool = True
    extra_tokens: int = 0


@dataclass(slots=True)
class _BatchState:
    """A batch of questions in progress.

    Attributes:
        deadline: in monotonic seconds; no call starts after it.
        unstored: answers that are not in the record store yet.
        over_budget: tenant -> why calls are no longer made for it.
    """

    spec: BatchSpec
    deadline: float
    outcomes: dict[ModelInput, Outcome] = field(default_factory=dict)
    unstored: dict[ModelInput, Any] = field(default_factory=dict)
    failures: ConsecutiveFailures = field(default_factory=ConsecutiveFailures)
    over_budget: dict[str, BudgetExceeded] = field(default_factory=dict)
    outage: Outage | None = None


class LLMClient:
    """All calls of a process to one provider.

    Args:
        tariff: prices of its models.
        max_wait_s: seconds one batch may take; questions that could not start by then are ``Deferred``.
        item_deadline_s: seconds one request may take, with all its retries.
    """

    def __init__(
        self,
        loop: BackgroundLoop,
        provider: Provider,
        cache: ResponseCache,
        rate_limiter: RateLimiter,
        tariff: Tariff,
        max_wait_s: float,
        item_deadline_s: float,
    ) -> None:
        self.provider = provider
        self._loop = loop
        self._cache = cache
        self._rate_limiter = rate_limiter
        self._tariff = tariff
        self._max_wait_s = max_wait_s
        self._item_deadline_s = item_deadline_s
        self._cost = Cost()
        self._slots = asyncio.Semaphore(provider.concurrency)
        self._retries = 0
        self._logged: Counter[str] = Counter()
        self._popped: Counter[str] = Counter()

    @property
    def figures(self) -> Counter[str]:
        """Hits, misses, calls, retries, tokens and waits since the beginning."""
        own = {"provider_retries": self._retries, **self._cost_figures()}
        return Counter(**self._cache.figures, **self._rate_limiter.figures, **own)

    def _cost_figures(self) -> dict[str, int]:
        names = ("prompt_tokens", "completion_tokens", "embedding_tokens", "unpriced_tokens", "money_nano")
        tokens = amount_of(self._cost).tokens
        return {"provider_tokens": tokens, **{f"provider_{name}": self._cost[name] for name in names}}

    def pop_usage(self) -> Counter[str]:
        """Return what was counted since the last call of this method; see ``UsageReporter``."""
        now, before = self.figures, self._popped
        self._popped = now
        return Counter({name: count - before[name] for name, count in now.items()})

    def answers(self, questions: Sequence[ModelInput], spec: BatchSpec) -> list[Outcome]:
        """Return the outcomes of questions, in order; equal ones are asked once.

        Raises:
            Outage: the provider, or the record store, is down for all.
        """
        unique = dict.fromkeys(questions)
        known = self._cache.find(spec.model, unique)
        missing = [question for question in unique if question not in known]
        if unique:
            self._loop.run(self._count_lookups(unique, known, spec.stage))
            state = _BatchState(spec, time.monotonic() + self._max_wait_s)
            known |= self._loop.run(self._run_batch(spec.batcher(missing), state))
        self._log_batch(spec.model, len(questions))
        return [known[question] for question in questions]

    def forget(self, tenant_id: str) -> None:
        """Drop a tenant's answers from memory."""
        self._cache.forget(tenant_id)

    def close(self) -> None:
        """Release what is reserved, and close all connections."""
        self._loop.run(self._rate_limiter.close())
        self._loop.run(self.provider.close())

    def check(self) -> None:
        """Ask the provider for something free; raises ``ChatAIError`` where it does not answer."""
        self._loop.run(self.provider.check())

    async def _count_lookups(self, asked: Iterable[ModelInput], known: Collection[ModelInput], stage: str) -> None:
        """Record which answers were cached and which must be paid for."""
        for question in asked:
            found = "hits" if question in known else "misses"
            self._rate_limiter.release(None, _account(question, stage), Cost({found: 1}))

    async def _run_batch(
        self, requests: Iterable[Sequence[ModelInput]], state: _BatchState
    ) -> dict[ModelInput, Outcome]:
        tasks = [asyncio.create_task(self._run_request(request, state)) for request in requests]
        is_complete = False
        try:
            await asyncio.gather(*tasks)
            is_complete = state.outage is None
        finally:  # also after a deadline or an unexpected exception
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # their costs are recorded as they end
            await self._rate_limiter.flush()
            await self._store(state, always=not is_complete)
        if state.outage or state.failures.is_outage(at_end=True):
            raise state.outage or self._unreachable(state)
        return state.outcomes

    async def _run_request(self, request: Sequence[ModelInput], state: _BatchState) -> None:
        """Send one request; its error becomes the outcome of each of its questions."""
        async with self._slots:
            if state.outage:
                return
            try:
                async with asyncio.timeout(self._item_deadline_s):
                    outcomes = await state.spec.send(request, partial(self._call_with_retries, request, state))
            except TimeoutError:
                late = f"{self.provider.name}: one item took longer than {self._item_deadline_s:g} s."
                outcomes = [ProviderBusy(late)] * len(request)
            except Outage as error:
                state.outage = state.outage or error
                return
            except ChatAIError as error:
                outcomes = [error] * len(request)
        self._record(request, outcomes, state)
        if len(state.unstored) >= CACHE_WRITE_BATCH:
            await self._store(state)

    def _record(self, request: Sequence[ModelInput], outcomes: Sequence[Outcome], state: _BatchState) -> None:
        known = dict(zip(request, outcomes, strict=True))
        state.outcomes.update(known)
        answers = {question: answer for question, answer in known.items() if not isinstance(answer, ChatAIError)}
        self._cache.remember(state.spec.model, answers)
        state.unstored.update(answers)
        for outcome in outcomes[:1]:
            state.failures.note(outcome if isinstance(outcome, ChatAIError) else None)
        if state.failures.is_outage(at_end=False) and not state.outage:
            state.outage = self._unreachable(state)

    async def _call_with_retries(self, request: Sequence[ModelInput], state: _BatchState, call: ProviderCall) -> Any:
        """Make a call, and repeat it while the provider is busy and there is time."""
        tries = 0
        while True:
            tries += 1
            if time.monotonic() > state.deadline:
                raise Deferred("The time of the batch is used up before this item's turn.", 0.0)
            try:
                return await self._call(request, state, call)
            except ProviderBusy as error:
                pause = call_backoff_s(tries, error.retry_after, random.random())  # noqa: S311 - spreads calls
                if pause is None or state.outage or time.monotonic() + pause > state.deadline:
                    raise
                self._retries += 1
                await asyncio.sleep(pause)

    async def _call(self, request: Sequence[ModelInput], state: _BatchState, call: ProviderCall) -> Any:
        """Make a call when the tenant's rate limit permits, and record its cost, also if it fails."""
        account, usages = _account(request[0], state.spec.stage), list[Usage]()
        if refused := state.over_budget.get(account.tenant_id):
            raise refused
        estimate = self._estimate(request, state.spec)
        try:
            permit = await self._rate_limiter.acquire(account.tenant_id, state.deadline, estimate)
        except BudgetExceeded as error:
            state.over_budget[account.tenant_id] = error
            raise
        is_called = not state.outage
        try:
            if state.outage:
                raise state.outage
            return await call(usages.append)
        finally:
            cost = self._tariff.cost(state.spec.priced_as, usages) if is_called else Cost()
            self._cost.update(cost)
            self._rate_limiter.release(permit, account, cost)

    def _estimate(self, request: Sequence[ModelInput], spec: BatchSpec) -> Amount:
        tokens = spec.extra_tokens + sum(len(question.text) for question in request) // CHARS_PER_TOKEN + 1
        return Amount(tokens, self._tariff.money_nano(spec.priced_as, Usage(prompt=tokens)) or 0)

    async def _store(self, state: _BatchState, *, always: bool = False) -> None:
        if state.unstored and (state.spec.stores_answers or always):
            unstored, state.unstored = state.unstored, {}
            await asyncio.to_thread(self._cache.store, state.spec.model, unstored)

    def _unreachable(self, state: _BatchState) -> ProviderUnreachable:
        latest = next((str(o) for o in reversed(state.outcomes.values()) if isinstance(o, ProviderBusy)), "")
        items = "1 item" if state.failures.busy == 1 else f"{state.failures.busy} items"
        return ProviderUnreachable(f"{items} got no answer: {latest}")

    def _log_batch(self, model: str, asked: int) -> None:
        """Log what a batch cost."""
        now = self.figures
        log.info(PROVIDER_BATCH, provider=self.provider.name, model=model, asked=asked, **(now - self._logged))
        self._logged = now


def _account(question: ModelInput, stage: str) -> Account:
    stream, hour = question.purpose
    return Account(question.tenant_id, stream, stage if hour else SEARCHING, hour)
