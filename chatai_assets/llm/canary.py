"""Decides whether many refused or invalid answers are the fault of the texts or of the model.

A text may talk a model into anything, and a channel may write only about what a provider refuses. If such items counted
as an outage, one tenant could stop all others for good; if they did not, a wrong prompt or model would dead-letter
whole hours. So the model is asked about plain texts that no provider objects to, in both languages. If it answers all
of them by the rules, the items are at fault; if not, the work stops before the rest of the batch is paid for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from chatai_assets.domain.errors import InvalidModelResponse, MassFailure, ProviderRejected, TransientError
from chatai_assets.domain.failure_policy import MASS_FAILURE_ITEMS, MASS_FAILURE_SHARE

T = TypeVar("T")
AskCanary = Callable[[str], Awaitable[T]]
"""Text -> the model's answer to it."""

CANARY_TEXTS = (
    "Вчера поезд из Москвы прибыл в Казань на час раньше расписания.",
    "Библиотека на улице Пушкина открывает новый читальный зал для школьников.",
    "Учёные измерили глубину озера Байкал и составили карту его дна.",
    "The city council of Boston opened a new bridge across the river on Monday.",
    "The museum in Berlin shows paintings of the nineteenth century until spring.",
    "Farmers near Lake Michigan expect a good harvest of apples this autumn.",
)


class Canary:
    """Watches the answers to one batch of questions; used from one event loop."""

    def __init__(self) -> None:
        self._answered = 0
        self._refused = 0
        self._next_check = MASS_FAILURE_ITEMS + 1
        self._is_model_fine = False

    async def run(self, ask: AskCanary[T], text: str) -> T:
        """Ask about a text and return the answer.

        Raises:
            MassFailure: too many answers are bad, and so are those to the canary texts.
            ChatAIError: what asking raises.
        """
        try:
            answer = await ask(text)
        except (InvalidModelResponse, ProviderRejected):
            self._refused += 1
            if self._refused == self._next_check and not self._is_model_fine:
                self._next_check *= 2
                await self._check_model(ask)
            raise
        self._answered += 1
        return answer

    async def _check_model(self, ask: AskCanary[Any]) -> None:
        try:
            for text in CANARY_TEXTS:
                await ask(text)
            self._is_model_fine = True
        except TransientError:
            return  # unknown; checked again at twice as many failures
        except (InvalidModelResponse, ProviderRejected) as error:
            if self._refused > MASS_FAILURE_SHARE * (self._answered + self._refused):
                raise MassFailure(
                    f"The model breaks the rules or refuses to answer, even where it is asked about plain texts "
                    f"({error.code}): look at the model's name in the settings, and at its answers."
                ) from None

    def classify(self, outcome: T) -> T:
        """Return an outcome, marked as the item's own fault if it is bad while the model passed the canary texts."""
        if self._is_model_fine and isinstance(outcome, InvalidModelResponse | ProviderRejected):
            outcome.is_item_fault = True
        return outcome
