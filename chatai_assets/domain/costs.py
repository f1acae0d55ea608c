"""What calls to providers cost, and what a tenant may spend in a day.

Money is counted in billionths of the prices' unit: sums of tiny amounts stay exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

NANO = 1_000_000_000
DAY_S = 86_400
CHARS_PER_TOKEN = 3
"""Of Russian text; English has four. An estimate is better too large."""
SEARCHING = "search"
"""Used as the stage of calls that answer a search."""

Cost = Counter[str]
"""``calls prompt_tokens completion_tokens embedding_tokens unpriced_tokens money_nano hits misses``, what is not 0."""


class Account(NamedTuple):
    """For whom and for what a call is made; ``stream`` and ``hour`` are empty for a search."""

    tenant_id: str
    stream: str
    stage: str
    hour: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider says a call took.

    Attributes:
        prompt: tokens it read.
        completion: tokens it wrote.
        embedding: tokens it embedded.
        dollars: what it charged, where it says so.
    """

    prompt: int = 0
    completion: int = 0
    embedding: int = 0
    dollars: float | None = None

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.prompt + self.completion + self.embedding


class Amount(NamedTuple):
    """Tokens and money that are spent, reserved or expected."""

    tokens: int = 0
    money_nano: int = 0

    def plus(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(self.tokens + other.tokens, self.money_nano + other.money_nano)


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Price:
    """Money for a million tokens."""

    prompt: float
    completion: float


@dataclass(frozen=True, slots=True)
class Tariff:
    """What models cost.

    Attributes:
        prices: name of a model -> price; what is not named has none that is known.
        dollar: what a US dollar is in the unit of the prices, for providers that say what they charged.
    """

    prices: Mapping[str, Price] = field(default_factory=dict)
    dollar: float = 1.0

    def money_nano(self, model: str, usage: Usage) -> int | None:
        """Return what a call cost; None if no price is known."""
        if usage.dollars is not None:
            return round(usage.dollars * self.dollar * NANO)
        price = self.prices.get(model)
        if price is None:
            return None
        read = usage.prompt + usage.embedding
        return round((read * price.prompt + usage.completion * price.completion) * (NANO // 1_000_000))

    def cost(self, model: str, usages: Iterable[Usage]) -> Cost:
        """Return the cost of one call; a provider may charge for none, or say so more than once."""
        cost = Cost(calls=1)
        for usage in usages:
            money = self.money_nano(model, usage)
            cost.update(
                prompt_tokens=usage.prompt,
                completion_tokens=usage.completion,
                embedding_tokens=usage.embedding,
                unpriced_tokens=usage.tokens if money is None else 0,
                money_nano=money or 0,
            )
        return +cost


def amount_of(cost: Cost) -> Amount:
    """Return the tokens and the money of a cost."""
    tokens = cost["prompt_tokens"] + cost["completion_tokens"] + cost["embedding_tokens"]
    return Amount(tokens, cost["money_nano"])


@dataclass(frozen=True, slots=True)
class Budget:
    """What a tenant may spend in a day of UTC, at all providers together; None is no limit.

    Attributes:
        tokens: of all kinds.
        money_nano: billionths of the prices' unit.
    """

    tokens: int | None = None
    money_nano: int | None = None

    def __bool__(self) -> bool:
        return self.tokens is not None or self.money_nano is not None

    def is_spent(self, amount: Amount) -> bool:
        """Return whether nothing is left."""
        of_tokens = self.tokens is not None and amount.tokens >= self.tokens
        return of_tokens or (self.money_nano is not None and amount.money_nano >= self.money_nano)

    def sentence(self, tenant_id: str, spent: Amount, now: float) -> str:
        """Return who has spent how much, and until when that tenant waits."""
        if self.money_nano is not None and spent.money_nano >= self.money_nano:
            much, name = f"{spent.money_nano / NANO:g} of {self.money_nano / NANO:g} (money)", "CHATAI_BUDGET_DAY"
        else:
            much, name = f"{spent.tokens:,} of {self.tokens:,} tokens", "CHATAI_BUDGET_TOKENS_DAY"
        until = datetime.fromtimestamp(next_day(now), UTC)
        return (
            f"The tenant {tenant_id!r} has spent {much} of {day_of(now)}: its items wait until {until:%Y-%m-%d %H:%M} "
            f"UTC, or until {name} is raised."
        )


NO_BUDGET = Budget()


def day_of(now: float) -> str:
    """Return the day of a moment in UTC, e.g. ``2026-11-24``."""
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def next_day(now: float) -> float:
    """Return the epoch second at which the next day begins in UTC."""
    return (now // DAY_S + 1) * DAY_S
