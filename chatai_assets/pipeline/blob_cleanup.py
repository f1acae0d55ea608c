"""Deletes uploaded bytes that no item uses, or that an erased document brought again."""

from __future__ import annotations

from chatai_assets.files.blobs import Blobs
from chatai_assets.storage.engine import Records
from chatai_assets.storage.erasure import has_bytes, lock_if_unused


def delete_unreferenced(records: Records, blobs: Blobs, sha256: str) -> bool:
    """Remove bytes unless an arrival that is not erased brought them; return whether they were removed."""
    with records.reading() as connection:
        if has_bytes(connection, sha256):
            return False
    with records.begin() as connection:
        # An upload of the same bytes waits meanwhile, and stores them again.
        spare = lock_if_unused(connection, sha256)
        if spare:
            blobs.remove(sha256)
    return spare


def delete_all_unreferenced(records: Records, blobs: Blobs) -> int:
    """Delete all bytes that no item uses; return how many files there were."""
    return sum(delete_unreferenced(records, blobs, sha256) for sha256 in blobs.digests())
