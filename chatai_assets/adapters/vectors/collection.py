"""What a collection of the vector index is made for: a model, the length of its vectors and a layout."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from chatai_assets.domain.errors import StoreUnavailable

TENANT = "tenant_id"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which payload fields a collection has indexes for, so that filters by them are fast.

    Attributes:
        keywords: fields compared for equality.
        integers: fields compared by size.
    """

    keywords: tuple[str, ...]
    integers: tuple[str, ...]


LAYOUTS = {1: Layout((TENANT, "source", "kind", "channel", "language"), ("published_at", "expires_at"))}
"""Version -> layout. To change vectors or payload indexes, add a version and keep those that homes may still have.

New indexes get the newest one. An index that exists keeps its own until ``chatai reindex --rebuild`` replaces it.
"""


def newest_layout() -> int:
    """Return the version of the layout that new indexes get."""
    return max(LAYOUTS)


@dataclass(frozen=True, slots=True)
class Collection:
    """Identity of a collection; two models never share one, even with equal dimensions."""

    model: str
    dimensions: int
    layout: int = field(default_factory=newest_layout)

    @property
    def name(self) -> str:
        """The name of its folder, or its name in a server."""
        slug = re.sub(r"[^a-z0-9.]+", "-", self.model.lower()).strip("-.")
        return f"{slug}-{self.dimensions}-v{self.layout}"

    @property
    def fields(self) -> Layout:
        """The payload fields it has indexes for.

        Raises:
            StoreUnavailable: the layout comes from a later release.
        """
        if self.layout not in LAYOUTS:
            raise StoreUnavailable(
                f"the vector index has layout {self.layout}, but this release knows none after {newest_layout()}: "
                f"run a later release"
            )
        return LAYOUTS[self.layout]
