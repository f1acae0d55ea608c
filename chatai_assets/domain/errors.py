"""Every failure this project raises on purpose: an item's own, a transient one, or an outage.

::

    ChatAIError
    ├── PermanentError              the same input fails again: the item is quarantined
    │   ├── UnreadableDocument      the file: corrupt, encrypted, empty, too large, of an unknown type
    │   ├── BadRecord               a record of an export that cannot be read as a post
    │   ├── ProviderRejected        the provider refuses this item
    │   │   └── PayloadTooLarge     413: a smaller request may pass
    │   ├── InvalidModelResponse    a model's answer breaks the rules even after one repair
    │   ├── ProcessKilled           every process that works on the item dies
    │   └── UnexpectedFailure       an unforeseen exception while one item was worked on
    ├── TransientError              another attempt may succeed; carries ``retry_after``
    │   ├── ProviderBusy            408, 425, 429, 5xx, timeout
    │   │   └── ProviderOverloaded  429, 502-504, 52x, no connection: any item would get this answer
    │   ├── PageUnavailable         a linked page that may be there later
    │   ├── ChildKilled             the system killed the child that read a file: after three times the file is to blame
    │   └── Deferred                quota or time ran out before this item was tried: counts as no attempt
    │       ├── OcrTimeBudgetExceeded  a batch ran out of time for the pages of a scan: the next one continues
    │       └── BudgetExceeded      the tenant's budget of the day is spent: the item waits for the next day
    ├── Outage                      stop: the run fails, no item's attempts are used up
    │   ├── StoreUnavailable        record store, vectors or graph cannot be reached or written
    │   │   ├── StoreDamaged        what a store holds cannot be read any more
    │   │   ├── ProjectionMismatch  a store is not the one that the ledger describes
    │   │   └── IndexSuperseded     the vector index changed its state while it was being worked on
    │   ├── ProviderUnreachable     no connection to the provider
    │   ├── PaymentRequired         402
    │   ├── AllBudgetsExceeded      all that waits belongs to tenants whose budget of the day is spent
    │   ├── ProviderMisconfigured   404, a wrong certificate or dimension: a setting is wrong for every item
    │   │   └── AuthenticationFailed  401, 403
    │   └── MassFailure             too many items of a batch fail alike: the cause is not the items
    └── OperationRefused            what a person asked for cannot be done; says why
        ├── ItemNotFound            no item, or several, of this source key
        ├── DeadLetterNotFound      no dead letter of this id
        ├── EntityNotFound          no item mentions this name
        └── CannotReindex           the vector index is not in a state that allows it

Every class has a stable ``code``: the name under which it is stored and shown. Classes may be renamed, codes may not.
Messages never carry the text of a post or document, a token, or a URL with a token.
"""

from __future__ import annotations

from typing import ClassVar

from chatai_assets.domain.documents import sentence


class ChatAIError(Exception):
    """Base of everything this project raises on purpose; ``str()`` is one sentence for a person."""

    code: ClassVar[str] = "ChatAIError"
    """The stable name of the class in stored rows, metadata, logs and messages."""

    @property
    def failure_class(self) -> str:
        """The name under which failures are counted, grouped and shown."""
        return self.code


class PermanentError(ChatAIError):
    """The same input would fail again."""

    code = "PermanentError"
    is_item_fault = False
    """Whether the item itself is to blame; such failures never add up to a ``MassFailure``.

    Known of a class, or of one error: see ``llm.canary``.
    """


class UnreadableDocument(PermanentError):
    """A file that no attempt can read.

    Args:
        reason: a stable key of ``domain.documents.FAULTS``, e.g. ``"encrypted"``; failures are counted under it.
        detail: what the parser saw, in English, without any text of the document.
    """

    code = "UnreadableDocument"
    is_item_fault = True

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{sentence(reason, 'en')} ({detail})" if detail else sentence(reason, "en"))
        self.reason = reason
        self.detail = detail

    @property
    def failure_class(self) -> str:
        """The reason: files fail for many reasons, and people fix each in its own way."""
        return self.reason


class BadRecord(PermanentError):
    """A record that claims to be a post and cannot be read as one."""

    code = "BadRecord"
    is_item_fault = True


class ProviderRejected(PermanentError):
    """The provider refuses this item."""

    code = "ProviderRejected"


class PayloadTooLarge(ProviderRejected):
    """A request is larger than the provider takes."""

    code = "TooLarge"


class InvalidModelResponse(PermanentError):
    """A model's answer breaks the rules."""

    code = "AnswerRejected"


class ProcessKilled(PermanentError):
    """Processes that worked on this item were lost, the last ones while they worked on nothing else.

    Args:
        losses: how many processes were lost.
    """

    code = "ProcessKilled"
    is_item_fault = True

    def __init__(self, losses: int) -> None:
        super().__init__(f"{losses} processes ended while they worked on this item, the last of them on nothing else.")


class TransientError(ChatAIError):
    """Another attempt may succeed.

    Args:
        message: one sentence.
        retry_after: seconds to wait at least, where the other side said so.
    """

    code = "TransientError"
    counts_as_attempt = True
    """Whether it counts towards the attempts after which an item is quarantined."""
    max_attempts: int | None = None
    """After how many an item is quarantined, where that is less than the stage's own number."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ChildKilled(TransientError):
    """The system ended the child process that read a file, probably because memory ran out."""

    code = "ChildKilled"
    max_attempts = 3


class ProviderBusy(TransientError):
    """408, 425, 429, 5xx or a timeout."""

    code = "ProviderBusy"


class ProviderOverloaded(ProviderBusy):
    """429, 502-504, 52x or no connection: the provider would say so of any item."""

    code = "ProviderOverloaded"


class PageUnavailable(TransientError):
    """A linked page cannot be had now."""

    code = "PageUnavailable"


class Deferred(TransientError):
    """The tenant's quota, or the time of the batch, was used up before this item was sent."""

    code = "NotAsked"
    counts_as_attempt = False


class OcrTimeBudgetExceeded(Deferred):
    """The batch ran out of time for some pages of a scan; recognised pages are cached."""

    code = "PagesLeft"


class BudgetExceeded(Deferred):
    """The tenant has spent its budget of the day."""

    code = "OverBudget"


class Outage(ChatAIError):
    """Something that all items need is down.

    Args:
        message: one sentence.
        part: the dependency that is down, if it is not the one the stage needs: see ``domain.circuit_breaker``.
    """

    code = "Outage"

    def __init__(self, message: str = "", part: str = "") -> None:
        super().__init__(message)
        self.part = part


class StoreUnavailable(Outage):
    """A store cannot be reached or written."""

    code = "StoreUnavailable"


class StoreDamaged(StoreUnavailable):
    """The data of a store cannot be read; retrying does not help."""

    code = "StoreDamaged"


class ProjectionMismatch(StoreUnavailable):
    """A projection is not the one that the ledger describes: it was lost, restored or replaced."""

    code = "ProjectionReplaced"


class IndexSuperseded(StoreUnavailable):
    """A vector index changed its state during the batch: another index became active."""

    code = "IndexMoved"


class ProviderUnreachable(Outage):
    """The provider does not answer."""

    code = "ProviderUnreachable"


class PaymentRequired(Outage):
    """The provider requires payment."""

    code = "PaymentRequired"


class AllBudgetsExceeded(Outage):
    """All pending items belong to tenants whose budget of the day is spent."""

    code = "BudgetSpent"


class ProviderMisconfigured(Outage):
    """The provider will refuse every item until a setting is corrected."""

    code = "ProviderMisconfigured"


class AuthenticationFailed(ProviderMisconfigured):
    """The provider does not accept our key or token."""

    code = "KeyRefused"


class MassFailure(Outage):
    """Too many items of one batch fail alike."""

    code = "MassFailure"


class UnexpectedFailure(PermanentError):
    """An unforeseen exception while one item was worked on: the item is quarantined, the batch continues."""

    code = "UnexpectedFailure"


class OperationRefused(ChatAIError):
    """What a person asked for cannot be done; says why."""

    code = "OperationRefused"


def error_code(error: BaseException) -> str:
    """Return the stable name of an error: its ``code``, or the class name of an exception that is not ours."""
    code = getattr(type(error), "code", None)
    return code if isinstance(code, str) else type(error).__name__
