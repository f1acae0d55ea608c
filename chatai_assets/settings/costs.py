"""What models cost, and what a tenant may spend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from chatai_assets.domain.costs import NANO, NO_BUDGET, Budget, Price, Tariff
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.settings.models import LARGEST_COUNT, ModelSettings
from chatai_assets.settings.providers import ProviderSettings
from chatai_assets.settings.values import InvalidSetting, number

LARGEST_AMOUNT = 1e9


@dataclass(frozen=True, slots=True)
class CostSettings:
    """Prices and budgets, in whichever unit of money the prices are.

    Attributes:
        tariff: ``CHATAI_PRICES``, and what a dollar is in their unit (``CHATAI_USD_RATE``), for OpenRouter.
        budget: of a tenant and day of UTC (``CHATAI_BUDGET_DAY``, ``CHATAI_BUDGET_TOKENS_DAY``).
    """

    tariff: Tariff = field(default_factory=Tariff)
    budget: Budget = NO_BUDGET


def read_costs(
    env: Mapping[str, str], models: ModelSettings, providers: Mapping[str, ProviderSettings]
) -> CostSettings:
    """Return prices and budgets.

    Raises:
        InvalidSetting: also where a budget of money would hold nothing back, since nobody says what a call costs.
    """
    tariff = Tariff(_prices(env), _amount(env, "CHATAI_USD_RATE") or 1.0)
    money = _amount(env, "CHATAI_BUDGET_DAY")
    tokens = number(env, "CHATAI_BUDGET_TOKENS_DAY", 0, most=LARGEST_COUNT) or None
    for provider, model in _unpriced(models, providers) if money and tokens is None else ():
        if model not in tariff.prices:
            raise InvalidSetting(
                f"CHATAI_BUDGET_DAY needs the price of {model!r} in CHATAI_PRICES, since {provider} tells none; or set "
                f"CHATAI_BUDGET_TOKENS_DAY."
            )
    return CostSettings(tariff, Budget(tokens, round(money * NANO) if money else None))


def _unpriced(models: ModelSettings, providers: Mapping[str, ProviderSettings]) -> Iterator[tuple[str, str]]:
    """Yield provider and model of every model in use whose provider does not report what a call costs."""
    for name, access in providers.items():
        spec = PROVIDERS[name]
        if spec.reports_costs:
            continue
        if name in {models.tagger, models.extractor}:
            yield spec.display_name, access.chat_model
        if name == models.embedder:
            yield spec.display_name, access.embedding_model


def _prices(env: Mapping[str, str]) -> dict[str, Price]:
    """Return the prices of a list like ``GigaChat=65,Embeddings=14,openai/gpt-4o-mini=0.15/0.6``."""
    entries = [entry.strip() for entry in env.get("CHATAI_PRICES", "").split(",") if entry.strip()]
    return dict(_price(entry) for entry in entries)


def _price(entry: str) -> tuple[str, Price]:
    model, found, told = entry.rpartition("=")
    prompt, _, completion = told.partition("/")
    amounts = [_number(part) for part in (prompt, completion or prompt)]
    if not found or not model.strip() or None in amounts:
        raise InvalidSetting(
            f"CHATAI_PRICES must be like GigaChat=65,openai/gpt-4o-mini=0.15/0.6: money for a million tokens, read and "
            f"written; not {entry!r}."
        )
    return model.strip(), Price(amounts[0] or 0.0, amounts[1] or 0.0)


def _amount(env: Mapping[str, str], name: str) -> float | None:
    value = env.get(name)
    if not value:
        return None
    amount = _number(value)
    if not amount:
        raise InvalidSetting(f"{name} must be an amount of money above 0, not {value!r}.")
    return amount


def _number(value: str) -> float | None:
    try:
        amount = float(value)
    except ValueError:
        return None
    return amount if math.isfinite(amount) and 0 <= amount <= LARGEST_AMOUNT else None
