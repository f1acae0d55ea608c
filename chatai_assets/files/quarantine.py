"""Moves unreadable files of an embedded store aside, so that a new store can be created.

Graph and vectors are projections: their content is written again from the record store.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.os_errors import describe_errno
from chatai_assets.observability import STORE_SET_ASIDE, log


def quarantine_files(folder: Path, files: Iterable[Path], store: str, reason: str) -> None:
    """Move files into ``lost-<UTC time>`` within the folder; earlier folders of this kind are deleted.

    The caller holds the exclusive lock of the store.

    Args:
        store: its name in the log.
        reason: what is wrong, without any text of posts or documents.

    Raises:
        StoreUnavailable: the files cannot be moved.
    """
    lost = folder / f"lost-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z"
    try:
        for old in folder.glob("lost-*"):
            rmtree(old)
        lost.mkdir()
        for file in files:
            file.rename(lost / file.name)
    except OSError as error:
        raise StoreUnavailable(f"the damaged {store} cannot be set aside: {describe_errno(error.errno)}") from error
    log.error(
        STORE_SET_ASIDE,
        store=store,
        folder=lost.name,
        reason=reason,
        advice=f"The {store} is written again from the record store by itself; check the disk if this happens often.",
    )
