"""Delays and limits as plain functions: when to try again, and when it is not the items' fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from chatai_assets.domain.errors import (
    ChatAIError,
    Deferred,
    MassFailure,
    PermanentError,
    ProviderBusy,
    ProviderOverloaded,
)

FIRST_ITEM_BACKOFF_S = 30.0
MAX_ITEM_BACKOFF_S = 3_600.0
MASS_FAILURE_ITEMS = 10
MASS_FAILURE_SHARE = 0.2

CALL_ATTEMPTS = 4
"""Tries of one call within a batch, before the item is put off."""
FIRST_CALL_BACKOFF_S = 0.5
MAX_CALL_BACKOFF_S = 20.0
"""A provider that asks for more is asked in a later batch."""
MAX_CONSECUTIVE_BUSY = 10
"""Items after which, none answered between them, it is the provider that is down."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between the attempts of one item, in seconds: the first, doubled each time up to the longest.

    Attributes:
        first_s: None takes the default of all stages; so does ``longest_s``.
    """

    first_s: float | None = None
    longest_s: float | None = None


USUAL_BACKOFF = Backoff()


def item_backoff_s(attempts: int, retry_after: float | None = None, backoff: Backoff = USUAL_BACKOFF) -> float:
    """Return seconds to wait before the next attempt: doubling, bounded, never less than the other side asked for.

    Args:
        attempts: how often it was tried so far, at least 1.
        retry_after: seconds the other side asked for.
        backoff: the delays of the stage.
    """
    first_s = FIRST_ITEM_BACKOFF_S if backoff.first_s is None else backoff.first_s
    longest_s = MAX_ITEM_BACKOFF_S if backoff.longest_s is None else backoff.longest_s
    return max(min(first_s * 2.0 ** min(attempts - 1, 20), longest_s), retry_after or 0.0)


def call_backoff_s(tries: int, retry_after: float | None, chance: float) -> float | None:
    """Return seconds until the next try of one call; None when the item must be put off instead.

    Args:
        tries: how often it was tried so far, at least 1.
        retry_after: seconds the other side asked for.
        chance: between 0 and 1; calls that failed together come back apart.
    """
    if tries >= CALL_ATTEMPTS or (retry_after or 0.0) > MAX_CALL_BACKOFF_S:
        return None
    return (retry_after or FIRST_CALL_BACKOFF_S * 2.0 ** (tries - 1)) + chance * FIRST_CALL_BACKOFF_S


@dataclass(slots=True)
class ConsecutiveFailures:
    """How the items of a batch fared, as they finish: whether it is still them, or the provider.

    Attributes:
        answered: items that the provider looked at, whatever it said.
        in_a_row: items since then that it was too busy for.
    """

    answered: int = 0
    in_a_row: int = 0
    overloaded: int = 0
    busy: int = 0

    def note(self, fault: ChatAIError | None) -> None:
        """Take note of one more item; of those that were not asked there is nothing to note."""
        if isinstance(fault, Deferred):
            return
        if not isinstance(fault, ProviderBusy):
            self.answered, self.in_a_row = self.answered + 1, 0
            return
        self.busy += 1
        self.in_a_row += 1
        self.overloaded += isinstance(fault, ProviderOverloaded)

    def is_outage(self, *, at_end: bool) -> bool:
        """Return whether the provider is down: too many busy items in a row, or nothing else in the whole batch."""
        if self.in_a_row >= MAX_CONSECUTIVE_BUSY:
            return True
        return at_end and not self.answered and 0 < self.busy == self.overloaded


def check_mass_failure(failures: Collection[ChatAIError], batch_size: int, *, probing: bool = False) -> None:
    """Refuse to quarantine a batch that fails alike for a reason that is ours or the provider's.

    A wrong model name or a bug would otherwise dead-letter a whole hour while it shows green; forty
    corrupt files are forty bad files.

    Args:
        probing: an outage was on a moment ago; then a whole batch that fails alike is the outage, however small.

    Raises:
        MassFailure: more than ten items and a fifth of the batch fail with one class that does not speak of the file.
    """
    ours = [error for error in failures if isinstance(error, PermanentError) and not error.is_item_fault]
    for name, count in Counter(error.code for error in ours).items():
        many = count > MASS_FAILURE_ITEMS and count > MASS_FAILURE_SHARE * batch_size
        if many or (probing and count == batch_size):
            raise MassFailure(
                f"{count} of {batch_size} items fail with {name}: that is a fault of ours or of the provider, "
                f"so nothing was quarantined; look at the stage's settings and its last error."
            )
