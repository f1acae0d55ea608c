"""Uploaded bytes, stored as files named by their sha256."""

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
    """Stored bytes: their sha256 in hex, and their number."""

    sha256: str
    size_bytes: int


class Blobs:
    """A folder of files named by the hash of their content; the same bytes are stored once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Write and remove a file; raises ``StoreUnavailable`` if that is not possible."""
        with _translate_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = mkstemp(dir=self.folder, prefix=INCOMING)
            os.close(handle)
            Path(name).unlink()

    def path_of(self, digest: str) -> Path:
        """Return the path of bytes with this sha256, stored or not."""
        return self.folder / digest[:2] / digest

    def put(self, source: Path, *, max_bytes: int) -> Blob:
        """Copy a file in, block by block; bytes that are stored already are not written again.

        Raises:
            UnreadableDocument: the file is larger than ``max_bytes``.
            StoreUnavailable: the folder cannot be written.
            OSError: the source cannot be read, or changed during the copy.
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
        """Yield the sha256 of all stored bytes."""
        return (path.name for path in self.folder.glob("??/*") if not path.name.startswith(INCOMING))

    def clear_incoming(self, older_than_s: float) -> int:
        """Delete partial files of killed writers; return their number."""
        old = [path for path in self.folder.rglob(f"{INCOMING}*") if time.time() - path.stat().st_mtime > older_than_s]
        with _translate_errors():
            for path in old:
                path.unlink(missing_ok=True)
        return len(old)

    def remove(self, digest: str) -> None:
        """Delete unreferenced bytes; raises ``StoreUnavailable`` if that is not possible."""
        with _translate_errors():
            self.path_of(digest).unlink(missing_ok=True)

    def _write(self, reading: BinaryIO, blob: Blob) -> None:
        """Write under a temporary name and rename, so that a file with a final name is always complete."""
        target = self.path_of(blob.sha256)
        with _translate_errors():
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = mkstemp(dir=target.parent, prefix=INCOMING)
        try:
            with os.fdopen(handle, "wb") as writing:
                _copy(reading, writing, blob)
            with _translate_errors():
                Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)


def _copy(reading: BinaryIO, writing: BinaryIO, blob: Blob) -> None:
    hasher = sha256()
    for block in iter(lambda: reading.read(BLOCK_BYTES), b""):
        hasher.update(block)
        with _translate_errors():
            writing.write(block)
    if hasher.hexdigest() != blob.sha256:
        raise BlockingIOError(EBUSY, "it changed while it was read")
    with _translate_errors():
        writing.flush()
        os.fsync(writing.fileno())


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"Uploaded bytes cannot be kept: {describe_errno(error.errno)}.") from error
