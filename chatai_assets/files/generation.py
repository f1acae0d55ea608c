"""The generation of an embedded store: a small file with the token of the last completed write.

Reading this file shows whether the store is still the expected one, without opening the store
(``storage.projection_ledger`` compares generations).
"""

from __future__ import annotations

import os
from pathlib import Path

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.os_errors import describe_errno

NAME = "mark"


def read_generation(folder: Path) -> str | None:
    """Return the generation in a folder, or None; ``StoreUnavailable`` when the file exists and cannot be read."""
    try:
        return (folder / NAME).read_text(encoding="ascii", errors="replace") or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreUnavailable(f"the mark of a store cannot be read: {describe_errno(error.errno)}") from error


def write_generation(folder: Path, generation: str | None) -> None:
    """Replace the generation in a folder atomically, or remove it; ``StoreUnavailable`` when it cannot be written."""
    new = folder / f"{NAME}.new"
    try:
        if generation is None:
            (folder / NAME).unlink(missing_ok=True)
            return
        with new.open("w", encoding="ascii") as file:
            file.write(generation)
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / NAME)
    except OSError as error:
        raise StoreUnavailable(f"the mark of a store cannot be written: {describe_errno(error.errno)}") from error
