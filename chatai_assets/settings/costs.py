"""What models cost, and what a tenant may spend."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field, SkipValidation

from chatai_assets.domain.costs import NANO, Budget, Price, Tariff
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.models import ModelSettings
from chatai_assets.settings.providers import ProviderSettings
from chatai_assets.settings.values import InvalidSetting, Money, TokenLimit, from_text, parse_amount


def _parse_prices(text: str) -> dict[str, Price]:
    """Return the prices of a list like ``GigaChat=65,Embeddings=14,openai/gpt-4o-mini=0.15/0.6``."""
    return dict(_parse_price(entry.strip()) for entry in text.split(",") if entry.strip())


def _parse_price(entry: str) -> tuple[str, Price]:
    model, found, amounts = entry.rpartition("=")
    prompt, _, completion = amounts.partition("/")
    prompt_price, completion_price = parse_amount(prompt), parse_amount(completion or prompt)
    if not found or not model.strip() or prompt_price is None or completion_price is None:
        raise ValueError(
            f" must be like GigaChat=65,openai/gpt-4o-mini=0.15/0.6: money for a million tokens, read and "
            f"written; not {entry!r}."
        )
    return model.strip(), Price(prompt_price, completion_price)


Prices = Annotated[SkipValidation[Mapping[str, Price]], from_text(_parse_prices)]


class CostSettings(SettingsGroup):
    """Prices and budgets, in the unit of money of the prices."""

    prices: Prices = Field(
        default_factory=dict,
        validation_alias="CHATAI_PRICES",
        description="money for a million tokens, read/written: `GigaChat=65,Embeddings=14,openai/gpt-4o-mini=0.15/0.6`",
        json_schema_extra={"default_text": "unknown"},
    )
    usd_rate: Money = Field(
        default=1.0,
        validation_alias="CHATAI_USD_RATE",
        description="what a dollar is in that money; OpenRouter says what it charges in dollars",
    )
    budget_day: Money | None = Field(
        default=None,
        validation_alias="CHATAI_BUDGET_DAY",
        description="money of a tenant in a day of UTC, at all providers",
    )
    budget_tokens_day: TokenLimit = Field(
        default=None,
        validation_alias="CHATAI_BUDGET_TOKENS_DAY",
        description="tokens of a tenant in a day of UTC, at all providers",
    )

    @property
    def tariff(self) -> Tariff:
        """What models cost."""
        return Tariff(self.prices, self.usd_rate)

    @property
    def budget(self) -> Budget:
        """What a tenant may spend in a day of UTC."""
        return Budget(self.budget_tokens_day, round(self.budget_day * NANO) if self.budget_day else None)


def read_costs(
    env: Mapping[str, str], models: ModelSettings, providers: Mapping[str, ProviderSettings]
) -> CostSettings:
    """Return prices and budgets.

    Raises:
        InvalidSetting: also where a budget of money could not be kept, because the price of a model is unknown.
    """
    costs = CostSettings.read(env)
    for provider, model in _unpriced(models, providers) if costs.budget_day and not costs.budget_tokens_day else ():
        if model not in costs.prices:
            raise InvalidSetting(
                f"CHATAI_BUDGET_DAY needs the price of {model!r} in CHATAI_PRICES, since {provider} tells none; or set "
                f"CHATAI_BUDGET_TOKENS_DAY."
            )
    return costs


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
