"""The mark of the embedded graph, found without opening it."""

from __future__ import annotations

from pathlib import Path

from chatai_assets.files.generation import read_generation

GRAPH = "graph.lbug"
"""The graph's file; those that ladybug keeps beside it begin with the same name."""


def generation_of_graph(folder: Path) -> str | None:
    """Return the mark; None where there is no graph, or an empty file."""
    try:
        is_there = (folder / GRAPH).stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return None
    return read_generation(folder) if is_there else None
