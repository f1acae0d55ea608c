"""The parts that assets use, as Dagster resources: opened when an asset asks for them, closed with the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import dagster as dg

from chatai_assets.assembly import Parts, open_parts
from chatai_assets.settings import Settings

T = TypeVar("T")

Part = Callable[[], T]
"""A part on call. It is opened inside the step that uses it, so that a store that is down fails that step, with a
sentence of its own, and not the start of the run."""

NAMES = ("records", "blobs", "parser", "tagger", "extractor", "embedder", "stems", "vectors", "graph")
"""The parts of ``Parts`` that assets may name."""


def resources_of(settings: Settings, parts: Parts | None) -> dict[str, Any]:
    """Return the resources of all assets, by name.

    Args:
        parts: parts that are already open and stay so; without them each run opens and closes its own.
    """
    resources: dict[str, Any] = {"settings": settings, "parts": _parts(settings, parts)}
    return resources | {name: _on_call(name) for name in NAMES}


def _parts(settings: Settings, given: Parts | None) -> dg.ResourceDefinition:
    def of_this_run(_context: dg.InitResourceContext) -> Iterator[Parts]:
        if given:
            yield given
            return
        with open_parts(settings) as opened:
            yield opened

    return dg.ResourceDefinition(of_this_run, description="All stores, models and parsers of one run.")


def _on_call(name: str) -> dg.ResourceDefinition:
    def part(context: dg.InitResourceContext) -> Part[Any]:
        parts: Parts = context.resources.parts
        return lambda: getattr(parts, name)

    description = (getattr(Parts, name).__doc__ or name).strip()
    return dg.ResourceDefinition(part, required_resource_keys={"parts"}, description=description)
