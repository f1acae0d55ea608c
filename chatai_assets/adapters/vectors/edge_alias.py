"""Alias file of the embedded index: its current collection and generation, read without opening the index."""

from __future__ import annotations

import os
from pathlib import Path

from chatai_assets.files.generation import read_generation

ALIAS = "current"


def current(index: Path) -> Path | None:
    """Return the folder of the current collection; None before the first write, or if it was removed."""
    try:
        folder = index / (index / ALIAS).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return folder if folder.is_dir() else None


def point_alias(index: Path, folder: Path) -> None:
    """Make a collection the current one, atomically for all processes."""
    new = index / f"{ALIAS}.new"
    with new.open("w", encoding="utf-8") as file:
        file.write(folder.name)
        file.flush()
        os.fsync(file.fileno())
    new.replace(index / ALIAS)


def generation_of_index(index: Path) -> str | None:
    """Return the generation of the current collection; None if there is none."""
    folder = current(index)
    return read_generation(folder) if folder else None
