"""The three kinds of failure, and nothing else.

::

    ChatAIError
    ├── PermanentError          the same input fails again: the item is quarantined
    │   ├── UnreadableDocument  the file: corrupt, encrypted, empty, too large, of an unknown type
    │   ├── BadRecord           a record of an export that cannot be read as a post
    │   ├── ProviderRejected    the provider refuses this item (issued by us or by it)
    │   │   └── TooLarge        413: less at once may pass
    │   └── AnswerRejected      a model's answer breaks the rules even after one repair
    ├── TransientError          another attempt may succeed; carries ``retry_after``
    │   ├── ProviderBusy        408, 425, 429, 5xx, timeout
    │   │   └── ProviderOverloaded  429, 502-504, 52x, no connection: it would befall any item
    │   └── NotAsked            quota or time was used up before this item's turn: no attempt is used up either
    └── Outage                  stop asking: the run fails, no item's attempts are used up
        ├── StoreUnavailable    record store, vectors or graph cannot be reached or written
        ├── ProviderUnreachable nobody answers at the provider
        ├── PaymentRequired     402
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
    """Whether the class blames the item itself; such failures never add up to a ``MassFailure``."""


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


class TransientError(ChatAIError):
    """Another attempt may succeed.

    Args:
        message: one sentence.
        retry_after: seconds to wait at least, where the other side said so.
    """

    costs_attempt = True
    """Whether it counts towards the attempts after which an item is quarantined."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderBusy(TransientError):
    """408, 425, 429, 5xx or a timeout."""


class ProviderOverloaded(ProviderBusy):
    """429, 502-504, 52x or no connection: the provider would say so of any item."""


class NotAsked(TransientError):
    """The tenant's quota, or the time of the batch, was used up before this item's turn came."""

    costs_attempt = False


class Outage(ChatAIError):
    """Something that all items need is down."""


class StoreUnavailable(Outage):
    """A store cannot be reached or written."""


class ProviderUnreachable(Outage):
    """Nobody answers at the provider."""


class PaymentRequired(Outage):
    """The provider wants money first."""


class ProviderMisconfigured(Outage):
    """The provider will refuse every item until a setting is mended."""


class KeyRefused(ProviderMisconfigured):
    """The provider does not accept our key or token."""


class MassFailure(Outage):
    """Too many items of one batch fail alike."""


class DeadlineExceeded(TransientError):
    """An item, an operation or a run took longer than it may."""
