"""Generation of the embedded graph, read without opening it."""

from __future__ import annotations

from pathlib import Path

from chatai_assets.files.generation import read_generation

GRAPH = "graph.lbug"
"""The graph's file; names of ladybug's other files begin with it."""


def generation_of_graph(folder: Path) -> str | None:
    """Return the generation; None if there is no graph, or an empty file."""
    try:
        is_there = (folder / GRAPH).stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return None
    return read_generation(folder) if is_there else None
