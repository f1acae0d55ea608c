"""Whose fault it is when many answers of one set are refused or break the rules: the texts', or the model's.

A text may talk a model into anything, and a channel may write of nothing but what a provider refuses to touch. If such
items counted as an outage, one tenant could stop all others for ever; if they did not, a wrong prompt or model would
dead-letter whole hours. So the model itself is asked: plain texts that nobody can object to, in both languages. If it
answers them all by the rules, the items are to blame; if not, the work stops before the rest of the set is paid for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from chatai_assets.domain.errors import InvalidModelResponse, MassFailure, ProviderRejected, TransientError
from chatai_assets.domain.failure_policy import MASS_FAILURE_ITEMS, MASS_FAILURE_SHARE

T = TypeVar("T")
AskCanary = Callable[[str], Awaitable[T]]
"""Text -> what a model's answer to it comes to."""

CANARY_TEXTS = (
    "Вчера поезд из Москвы прибыл в Казань на час раньше расписания.",
    "Библиотека на улице Пушкина открывает новый читальный зал для школьников.",
    "Учёные измерили глубину озера Байкал и составили карту его дна.",
    "The city council of Boston opened a new bridge across the river on Monday.",
    "The museum in Berlin shows paintings of the nineteenth century until spring.",
    "Farmers near Lake Michigan expect a good harvest of apples this autumn.",
)


class Canary:
    """Watches the answers to one set of questions; used from one event loop."""

    def __init__(self) -> None:
        self._answered = 0
        self._refused = 0
        self._look_at = MASS_FAILURE_ITEMS + 1
        self._trusted = False

    async def run(self, ask: AskCanary[T], text: str) -> T:
        """Return what asking comes to.

        Raises:
            MassFailure: too many answers are bad, and so are those to plain texts.
            ChatAIError: what asking raises.
        """
        try:
            answer = await ask(text)
        except (InvalidModelResponse, ProviderRejected):
            self._refused += 1
            if self._refused == self._look_at and not self._trusted:
                self._look_at *= 2
                await self._look_into(ask)
            raise
        self._answered += 1
        return answer

    async def _look_into(self, ask: AskCanary[Any]) -> None:
        try:
            for text in CANARY_TEXTS:
                await ask(text)
            self._trusted = True
        except TransientError:
            return  # nobody knows; looked into again when there are twice as many
        except (InvalidModelResponse, ProviderRejected) as fault:
            if self._refused > MASS_FAILURE_SHARE * (self._answered + self._refused):
                raise MassFailure(
                    f"The model breaks the rules or refuses to answer, even where it is asked about plain texts "
                    f"({fault.code}): look at the model's name in the settings, and at its answers."
                ) from None

    def classify(self, outcome: T) -> T:
        """Return an outcome; a bad one speaks of its item if the model answers plain texts well."""
        if self._trusted and isinstance(outcome, InvalidModelResponse | ProviderRejected):
            outcome.is_item_fault = True
        return outcome
