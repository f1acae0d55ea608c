"""Uploaded bytes, kept as files named by their sha256."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

from chatai_assets.domain.errors import StoreUnavailable, UnreadableDocument

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """Where some bytes lie: their sha256 in hex, and how many they are."""

    sha256: str
    size_bytes: int


class Blobs:
    """A folder of files named by what is in them; the same bytes are kept once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, digest: str) -> Path:
        """Return where bytes of this sha256 lie or would lie."""
        return self.folder / digest[:2] / digest

    def put(self, source: Path, *, max_bytes: int) -> Blob:
        """Copy a file in, block by block; bytes that are there already are not written again.

        Raises:
            UnreadableDocument: the file is larger than ``max_bytes``.
            StoreUnavailable: the folder cannot be written.
            OSError: the source cannot be read.
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

    def _write(self, reading: BinaryIO, blob: Blob) -> None:
        """Write under another name and rename, so that a name always means all of its bytes."""
        target = self.path_of(blob.sha256)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=target.parent, prefix=".incoming-", delete=False) as writing:
                shutil.copyfileobj(reading, writing, BLOCK_BYTES)
                writing.flush()
                os.fsync(writing.fileno())
            Path(writing.name).replace(target)
        except OSError as error:
            raise StoreUnavailable(f"Uploaded bytes cannot be kept: {error.strerror}.") from error
