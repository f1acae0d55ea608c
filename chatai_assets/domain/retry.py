"""Delays as plain functions: when an item or a call is tried again."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_ITEM_BACKOFF_S = 30.0
MAX_ITEM_BACKOFF_S = 3_600.0

CALL_ATTEMPTS = 4
"""Tries of one call within a batch, before the item is left to a later batch."""
FIRST_CALL_BACKOFF_S = 0.5
MAX_CALL_BACKOFF_S = 20.0
"""A provider that asks for more is asked in a later batch."""


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
    """Return seconds until the next try of one call; None if the item is left to a later batch instead.

    Args:
        tries: how often it was tried so far, at least 1.
        retry_after: seconds the other side asked for.
        chance: between 0 and 1; calls that failed together come back apart.
    """
    if tries >= CALL_ATTEMPTS or (retry_after or 0.0) > MAX_CALL_BACKOFF_S:
        return None
    return (retry_after or FIRST_CALL_BACKOFF_S * 2.0 ** (tries - 1)) + chance * FIRST_CALL_BACKOFF_S
