"""The three kinds of failure, and nothing else.

::

    ChatAIError
    ├── PermanentError          the same input fails again: the item is quarantined
    │   ├── UnreadableDocument  the file: corrupt, encrypted, empty, too large, of an unknown type
    │   ├── BadRecord           a record of an export that cannot be read as a post
    │   ├── ProviderRejected    the provider refuses this item (issued by us or by it)
    │   │   └── TooLarge        413: less at once may pass
    │   ├── AnswerRejected      a model's answer breaks the rules even after one repair
    │   └── ProcessKilled       whoever works on the item dies of it
    ├── TransientError          another attempt may succeed; carries ``retry_after``
    │   ├── ProviderBusy        408, 425, 429, 5xx, timeout
    │   │   └── ProviderOverloaded  429, 502-504, 52x, no connection: it would befall any item
    │   ├── PageUnavailable     a linked page that may be there later
    │   ├── ChildKilled         the system ended the child that read a file: three times, and it is the file
    │   └── NotAsked            quota or time was used up before this item's turn: no attempt is used up either
    │       ├── PagesLeft       a batch had no more time for the pages of a scan: the next one goes on with them
    │       └── OverBudget      the tenant's budget of the day is spent: the item waits for the next one
    └── Outage                  stop asking: the run fails, no item's attempts are used up
        ├── StoreUnavailable    record store, vectors or graph cannot be reached or written
        │   ├── StoreDamaged        what a store holds cannot be read any more
        │   ├── ProjectionReplaced  a store is not the one that the ledger speaks of
    │   └── IndexMoved          another vector index serves now, or the one that was filled is given up
        ├── ProviderUnreachable nobody answers at the provider
        ├── PaymentRequired     402
        ├── BudgetSpent         all that waits belongs to tenants whose budget of the day is spent
        ├── ProviderMisconfigured  404, a wrong certificate or dimension: a setting is wrong for every item
        │   └── KeyRefused      401, 403
        └── MassFailure         too many items of a batch fail alike: it is us, not them

Messages never carry the text of a post or document, a token, or a URL with a token.
"""

from __future__ import annotations

from chatai_assets.domain.documents import sentence


class ChatAIError(Exception):
    """Base of everything this project raises on purpose; ``str()`` is one sentence for a person."""


class PermanentError(ChatAIError):
    """The same input would fail again."""

    speaks_of_file = False
    """Whether the item itself is to blame; such failures never add up to a ``MassFailure``.

    Known of a class, or of one error: see ``adapters.models.control``.
    """


class UnreadableDocument(PermanentError):
    """A file that no attempt can read.

    Args:
        code: a stable key of ``domain.documents.FAULTS``, e.g. ``"encrypted"``.
        detail: what the parser saw, in English, without any text of the document.
    """

    speaks_of_file = True

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{sentence(code, 'en')} ({detail})" if detail else sentence(code, "en"))
        self.code = code
        self.detail = detail


class BadRecord(PermanentError):
    """A record that claims to be a post and cannot be read as one."""

    speaks_of_file = True


class ProviderRejected(PermanentError):
    """The provider refuses this item."""


class TooLarge(ProviderRejected):
    """A request is larger than the provider takes."""


class AnswerRejected(PermanentError):
    """A model's answer breaks the rules."""


class ProcessKilled(PermanentError):
    """Processes that worked on this item were lost, the last ones with nothing else in hand.

    Args:
        losses: how many processes were lost.
    """

    speaks_of_file = True

    def __init__(self, losses: int) -> None:
        super().__init__(f"{losses} processes ended while they worked on this item, the last of them on nothing else.")


class TransientError(ChatAIError):
    """Another attempt may succeed.

    Args:
        message: one sentence.
        retry_after: seconds to wait at least, where the other side said so.
    """

    costs_attempt = True
    """Whether it counts towards the attempts after which an item is quarantined."""
    most_attempts: int | None = None
    """After how many an item is quarantined, where that is less than the stage's own number."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ChildKilled(TransientError):
    """The system ended the child process that read a file, probably for want of memory."""

    most_attempts = 3


class ProviderBusy(TransientError):
    """408, 425, 429, 5xx or a timeout."""


class ProviderOverloaded(ProviderBusy):
    """429, 502-504, 52x or no connection: the provider would say so of any item."""


class PageUnavailable(TransientError):
    """A linked page cannot be had now."""


class NotAsked(TransientError):
    """The tenant's quota, or the time of the batch, was used up before this item's turn came."""

    costs_attempt = False


class PagesLeft(NotAsked):
    """Pages of a scan are left for which the batch had no more time; those that were recognised are kept."""


class OverBudget(NotAsked):
    """The tenant has spent its budget of the day."""


class Outage(ChatAIError):
    """Something that all items need is down.

    Args:
        message: one sentence.
        part: what is down, where whoever raises it knows better than the stage it stops: see ``domain.breaker``.
    """

    def __init__(self, message: str = "", part: str = "") -> None:
        super().__init__(message)
        self.part = part


class StoreUnavailable(Outage):
    """A store cannot be reached or written."""


class StoreDamaged(StoreUnavailable):
    """What a store holds cannot be read any more, however often one asks."""


class ProjectionReplaced(StoreUnavailable):
    """A projection is not the one that the ledger speaks of: it was lost, or comes from another day or place."""


class IndexMoved(StoreUnavailable):
    """A vector index is not what it was when the work on it began: whoever serves has changed meanwhile."""


class ProviderUnreachable(Outage):
    """Nobody answers at the provider."""


class PaymentRequired(Outage):
    """The provider wants money first."""


class BudgetSpent(Outage):
    """All that waits belongs to tenants whose budget of the day is spent."""


class ProviderMisconfigured(Outage):
    """The provider will refuse every item until a setting is mended."""


class KeyRefused(ProviderMisconfigured):
    """The provider does not accept our key or token."""


class MassFailure(Outage):
    """Too many items of one batch fail alike."""
