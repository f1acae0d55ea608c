"""Identity of a collection of the vector index, and the payload fields it can filter by."""

from __future__ import annotations

import re
from dataclasses import dataclass

LAYOUT = 1
"""Raise it when vectors or payload indexes change: a new collection is made, and the alias moves."""
TENANT = "tenant_id"
KEYWORDS = (TENANT, "source", "kind", "channel", "language")
INTEGERS = ("published_at", "expires_at")


@dataclass(frozen=True, slots=True)
class Collection:
    """Identity of a collection; two models never share one, even with equal dimensions."""

    model: str
    dimensions: int
    layout: int = LAYOUT

    @property
    def name(self) -> str:
        """The name of its folder, or its name in a server."""
        slug = re.sub(r"[^a-z0-9.]+", "-", self.model.lower()).strip("-.")
        return f"{slug}-{self.dimensions}-v{self.layout}"
