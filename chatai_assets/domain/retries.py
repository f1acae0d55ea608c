"""Delays and limits as plain functions: when to try again, and when it is not the items' fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from chatai_assets.domain.errors import ChatAIError, MassFailure, PermanentError

FIRST_DELAY_S = 30.0
LONGEST_DELAY_S = 3_600.0
MASS_FAILURE_ITEMS = 10
MASS_FAILURE_SHARE = 0.2


class UnexpectedFailure(PermanentError):
    """An exception nobody foresaw, while one item was worked on; the item is quarantined, the batch goes on."""


def retry_delay(attempts: int, retry_after: float | None = None) -> float:
    """Return seconds to wait before the next attempt: doubling, bounded, never less than the other side asked for.

    Args:
        attempts: how often it was tried so far, at least 1.
        retry_after: seconds the other side asked for.
    """
    delay = FIRST_DELAY_S * 2.0 ** min(attempts - 1, 20)
    return max(min(delay, LONGEST_DELAY_S), retry_after or 0.0)


def guard_against_mass_failure(failures: Collection[ChatAIError], batch_size: int) -> None:
    """Refuse to quarantine a batch that fails alike for a reason that is ours or the provider's.

    A wrong model name or a bug would otherwise dead-letter a whole hour while it shows green; forty
    corrupt files are forty bad files.

    Raises:
        MassFailure: more than ten items and a fifth of the batch fail with one class that does not speak of the file.
    """
    ours = [error for error in failures if isinstance(error, PermanentError) and not error.speaks_of_file]
    for name, count in Counter(type(error).__name__ for error in ours).items():
        if count > MASS_FAILURE_ITEMS and count > MASS_FAILURE_SHARE * batch_size:
            raise MassFailure(
                f"{count} of {batch_size} items fail with {name}: that is a fault of ours or of the provider, "
                f"so nothing was quarantined; look at the stage's settings and its last error."
            )
