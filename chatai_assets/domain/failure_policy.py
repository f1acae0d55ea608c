"""Whether a failure is transient, permanent or an outage, and when its item is tried again. Decided here alone.

=====================  ==========================================================================
error                  what becomes of the item
=====================  ==========================================================================
``Outage``             the run fails; no item's attempts are used up
``Deferred``           a later batch; no attempt is used up
other transient ones   a later batch, with growing delays; permanent once its attempts are used up
anything else          permanent: quarantined, with a dead letter
=====================  ==========================================================================

Many items that fail alike are an outage as well: ``check_mass_failure`` for permanent failures, ``ConsecutiveFailures``
for a provider that is too busy. What a failed stage means to Dagster is in ``orchestration.failures``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeGuard

from chatai_assets.domain.errors import (
    ChatAIError,
    Deferred,
    MassFailure,
    Outage,
    PermanentError,
    ProviderBusy,
    ProviderOverloaded,
    TransientError,
)
from chatai_assets.domain.retry import USUAL_BACKOFF, Backoff, item_backoff_s

MASS_FAILURE_ITEMS = 10
MASS_FAILURE_SHARE = 0.2
MAX_CONSECUTIVE_BUSY = 10
"""Busy items in a row, none answered between them, after which the provider counts as down."""


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """When an item that failed is tried again.

    Attributes:
        delay_s: seconds until then, at least.
        counts_as_attempt: whether this one used up an attempt; it did not if the item was never tried.
    """

    delay_s: float
    counts_as_attempt: bool


def is_outage(error: BaseException) -> TypeGuard[Outage]:
    """Return whether an error concerns all items, so that the run stops and no item is to blame."""
    return isinstance(error, Outage)


def next_attempt(
    error: BaseException, attempts: int, max_attempts: int, backoff: Backoff = USUAL_BACKOFF
) -> NextAttempt | None:
    """Return when an item is tried again; None if it failed permanently.

    Args:
        error: no outage.
        attempts: how often the item was tried, this time included.
        max_attempts: tries after which a transient failure counts as permanent; some errors allow fewer.
        backoff: the delays of the stage.
    """
    if not isinstance(error, TransientError):
        return None
    if not error.counts_as_attempt:
        return NextAttempt(error.retry_after or 0.0, counts_as_attempt=False)
    if attempts >= min(max_attempts, error.max_attempts or max_attempts):
        return None
    return NextAttempt(item_backoff_s(attempts, error.retry_after, backoff), counts_as_attempt=True)


@dataclass(slots=True)
class ConsecutiveFailures:
    """Counts the items of a batch as they finish, to distinguish failures of items from an outage of the provider.

    Attributes:
        answered: items that the provider looked at, whatever it answered.
        in_a_row: items since then for which it was too busy.
        overloaded: items of the batch for which any item would have got this answer.
        busy: items of the batch for which it was too busy.
    """

    answered: int = 0
    in_a_row: int = 0
    overloaded: int = 0
    busy: int = 0

    def note(self, fault: ChatAIError | None) -> None:
        """Count one more item; items that were not sent do not count."""
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
    """Raise if a batch fails alike for a reason that is ours or the provider's: its items are not quarantined then.

    A wrong model name or a bug would otherwise dead-letter a whole hour while it shows green; forty
    corrupt files are forty bad files.

    Args:
        probing: whether this run probes an open breaker; a batch that fails alike is the outage then, however small.

    Raises:
        MassFailure: more than ten items and a fifth of the batch fail with one class that does not blame the item.
    """
    ours = [error for error in failures if isinstance(error, PermanentError) and not error.is_item_fault]
    for name, count in Counter(error.code for error in ours).items():
        many = count > MASS_FAILURE_ITEMS and count > MASS_FAILURE_SHARE * batch_size
        if many or (probing and count == batch_size):
            raise MassFailure(
                f"{count} of {batch_size} items fail with {name}: that is a fault of ours or of the provider, "
                f"so nothing was quarantined; look at the stage's settings and its last error."
            )
