"""Uploaded bytes, kept as files named by their sha256."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EBUSY
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from chatai_assets.domain.errors import StoreUnavailable, UnreadableDocument
from chatai_assets.files.os_errors import describe_errno

BLOCK_BYTES = 1 << 20
INCOMING = ".incoming-"


@dataclass(frozen=True, slots=True)
class Blob:
    """Where some bytes lie: their sha256 in hex, and how many they are."""

    sha256: str
    size_bytes: int


class Blobs:
    """A folder of files named by what is in them; the same bytes are kept once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Write and remove a file; raises ``StoreUnavailable`` where that is not possible."""
        with _keeping():
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = mkstemp(dir=self.folder, prefix=INCOMING)
            os.close(handle)
            Path(name).unlink()

    def path_of(self, digest: str) -> Path:
        """Return where bytes of this sha256 lie or would lie."""
        return self.folder / digest[:2] / digest

    def put(self, source: Path, *, max_bytes: int) -> Blob:
        """Copy a file in, block by block; bytes that are there already are not written again.

        Raises:
            UnreadableDocument: the file is larger than ``max_bytes``.
            StoreUnavailable: the folder cannot be written.
            OSError: the source cannot be read, or changed meanwhile.
        """
        with source.open("rb") as reading:
            size = os.fstat(reading.fileno()).st_size
            if size > max_bytes:
                raise UnreadableDocument("too_large", f"{size} bytes, at most {max_bytes} are taken")
            hasher = sha256()
            for block in iter(lambda: reading.read(BLOCK_BYTES), b""):
                hasher.update(block)
            blob = Blob(hasher.hexdigest(), reading.tell())
            if not self.path_of(blob.sha256).exists():
                reading.seek(0)
                self._write(reading, blob)
        return blob

    def digests(self) -> Iterator[str]:
        """Yield the sha256 of all that is kept."""
        return (path.name for path in self.folder.glob("??/*") if not path.name.startswith(INCOMING))

    def clear_incoming(self, older_than_s: float) -> int:
        """Remove what killed writers left half-written; return how many files those were."""
        old = [path for path in self.folder.rglob(f"{INCOMING}*") if time.time() - path.stat().st_mtime > older_than_s]
        with _keeping():
            for path in old:
                path.unlink(missing_ok=True)
        return len(old)

    def remove(self, digest: str) -> None:
        """Remove bytes of which nobody knows any more; raises ``StoreUnavailable`` where that is not possible."""
        with _keeping():
            self.path_of(digest).unlink(missing_ok=True)

    def _write(self, reading: BinaryIO, blob: Blob) -> None:
        """Write under another name and rename, so that a name always means all of its bytes and no others."""
        target = self.path_of(blob.sha256)
        with _keeping():
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = mkstemp(dir=target.parent, prefix=INCOMING)
        try:
            with os.fdopen(handle, "wb") as writing:
                _copy(reading, writing, blob)
            with _keeping():
                Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)


def _copy(reading: BinaryIO, writing: BinaryIO, blob: Blob) -> None:
    hasher = sha256()
    for block in iter(lambda: reading.read(BLOCK_BYTES), b""):
        hasher.update(block)
        with _keeping():
            writing.write(block)
    if hasher.hexdigest() != blob.sha256:
        raise BlockingIOError(EBUSY, "it changed while it was read")
    with _keeping():
        writing.flush()
        os.fsync(writing.fileno())


@contextmanager
def _keeping() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"Uploaded bytes cannot be kept: {describe_errno(error.errno)}.") from error
