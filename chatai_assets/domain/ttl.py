"""How long items are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TTLPolicy:
    """How long the items of a stream are kept, counted from the arrival of their latest revision.

    Attributes:
        usual_s: seconds; None keeps them forever.
        of_tenants: tenant -> seconds or None, for tenants with a period of their own.
    """

    usual_s: int | None = None
    of_tenants: Mapping[str, int | None] = field(default_factory=dict)

    def expires_at(self, tenant_id: str, received_at: float) -> int | None:
        """Return the epoch second at which an item expires; None if it never does."""
        seconds = self.of_tenants.get(tenant_id, self.usual_s)
        return None if seconds is None else int(received_at) + seconds


NEVER_EXPIRES = TTLPolicy()
