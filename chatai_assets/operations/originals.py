"""The files that were dropped into the inbox folder and taken: they go with the items they brought.

All records of an export lie in the record store as they came, so the file is a convenience: it is removed as a whole
once one of its posts was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import file_digest
from itertools import islice
from pathlib import Path

from chatai_assets.adapters.telegram_exports.reader import ExportRecord, read_export, sniff_export
from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.telegram.formats import NotAPost, read_post
from chatai_assets.pipeline.inbox_folder import DONE
from chatai_assets.storage import tombstones
from chatai_assets.storage.engine import Records
from chatai_assets.storage.erasure import has_bytes

POSTS_AT_ONCE = 500


def remove_originals(records: Records, folder: Path, tenant_id: str) -> int:
    """Remove the files under ``done/`` that hold a forgotten post or are a document that left; return how many.

    Args:
        folder: the inbox folder.
        tenant_id: whose files are dropped there.
    """
    files = [file for file in sorted((folder / DONE).rglob("*")) if file.is_file() and not file.is_symlink()]
    gone = [file for file in files if _holds_forgotten(records, file, tenant_id)]
    for file in gone:
        file.unlink(missing_ok=True)
    return len(gone)


def _holds_forgotten(records: Records, file: Path, tenant_id: str) -> bool:
    if sniff_export(file):
        return _export_holds_forgotten(records, file, tenant_id)
    with file.open("rb") as content:
        sha256 = file_digest(content, "sha256").hexdigest()
    with records.reading() as connection:
        return not has_bytes(connection, sha256)


def _export_holds_forgotten(records: Records, file: Path, tenant_id: str) -> bool:
    keys = _posts_of(file)
    while some := list(islice(keys, POSTS_AT_ONCE)):
        with records.reading() as connection:
            if tombstones.any_forgotten(connection, tenant_id, some):
                return True
    return False


def _posts_of(file: Path) -> Iterator[str]:
    for record in read_export(file):
        if isinstance(record, ExportRecord):
            try:
                yield read_post(record.raw, record.record_format).source_key
            except (NotAPost, BadRecord):
                continue
