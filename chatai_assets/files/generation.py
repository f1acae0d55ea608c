"""The mark of an embedded store: a small file that says which turn of writing the store has seen last.

Whoever only wants to know whether the store is still the one it was reads this file and opens nothing
(``storage.projection_ledger`` says what for).
"""

from __future__ import annotations

import os
from pathlib import Path

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.os_errors import describe_errno

NAME = "mark"


def read_generation(folder: Path) -> str | None:
    """Return the mark in a folder, or None; ``StoreUnavailable`` when it is there and cannot be read."""
    try:
        return (folder / NAME).read_text(encoding="ascii", errors="replace") or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreUnavailable(f"the mark of a store cannot be read: {describe_errno(error.errno)}") from error


def write_generation(folder: Path, mark: str | None) -> None:
    """Replace the mark in a folder at once, or remove it; ``StoreUnavailable`` when the disk refuses."""
    new = folder / f"{NAME}.new"
    try:
        if mark is None:
            (folder / NAME).unlink(missing_ok=True)
            return
        with new.open("w", encoding="ascii") as file:
            file.write(mark)
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / NAME)
    except OSError as error:
        raise StoreUnavailable(f"the mark of a store cannot be written: {describe_errno(error.errno)}") from error
