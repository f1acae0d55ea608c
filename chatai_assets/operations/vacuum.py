"""Removes all traces of erased items from the files of a home: deletes leftovers and compacts the stores."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import file_digest
from itertools import islice
from pathlib import Path

from chatai_assets.adapters.telegram_exports.reader import ExportRecord, detect_export_format, read_export
from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.telegram.formats import NotAPost, read_post
from chatai_assets.operations.erasure import Stores, finish
from chatai_assets.pipeline.blob_cleanup import delete_all_unreferenced
from chatai_assets.pipeline.inbox_folder import DONE
from chatai_assets.storage import tombstones
from chatai_assets.storage.engine import Records
from chatai_assets.storage.erasure import erase_orphans, has_bytes
from chatai_assets.storage.leases import is_idle
from chatai_assets.storage.vacuum import vacuum as vacuum_records

UNFINISHED_UPLOAD_S = 86_400.0


@dataclass(slots=True)
class VacuumResult:
    """Result of a vacuum.

    Attributes:
        erased: kind -> how many were deleted before the files were rewritten.
        busy: whether stages were running, which may store paid results of erased items; a later vacuum deletes them.
        rewritten: stores whose files were rewritten.
        left_to_servers: stores that only their server can compact.
    """

    erased: Counter[str] = field(default_factory=Counter)
    busy: bool = False
    rewritten: list[str] = field(default_factory=list)
    left_to_servers: list[str] = field(default_factory=list)


def vacuum(stores: Stores, inbox_folder: Path, tenant_id: str) -> VacuumResult:
    """Finish pending erasures, delete orphaned rows and files, and rewrite the files of all stores.

    Args:
        tenant_id: tenant of the files in the inbox folder.

    Raises:
        StoreUnavailable: a store is unavailable, or locked by others for too long.
    """
    done = VacuumResult(erased=finish(stores))
    done.busy = not _erase_orphans(stores.records, done.erased)
    done.erased["blobs"] += delete_all_unreferenced(stores.records, stores.blobs)
    stores.blobs.clear_incoming(UNFINISHED_UPLOAD_S)
    done.erased["originals"] = delete_originals(stores.records, inbox_folder, tenant_id)
    vacuum_records(stores.records)
    done.rewritten.append("records")
    compacted = [index.vectors.compact() for index in stores.indexes.all()]
    for name, is_rewritten in (("vectors", all(compacted)), ("graph", stores.graph.compact())):
        (done.rewritten if is_rewritten else done.left_to_servers).append(name)
    return done


def _erase_orphans(records: Records, erased: Counter[str]) -> bool:
    """Delete orphaned rows of tenants that have erased items; return whether no stage can write more of them."""
    with records.begin() as connection:
        idle = is_idle(connection)
        for tenant_id in tombstones.forgotten_tenants(connection) if idle else ():
            erased.update(erase_orphans(connection, tenant_id, now=time.time()))
    return idle


BATCH_POSTS = 500


def delete_originals(records: Records, folder: Path, tenant_id: str) -> int:
    """Delete the files under ``done/`` that contain an erased post or are an erased document; return how many.

    Args:
        folder: the inbox folder.
        tenant_id: tenant of the files in it.
    """
    files = [file for file in sorted((folder / DONE).rglob("*")) if file.is_file() and not file.is_symlink()]
    deleted = [file for file in files if _holds_forgotten(records, file, tenant_id)]
    for file in deleted:
        file.unlink(missing_ok=True)
    return len(deleted)


def _holds_forgotten(records: Records, file: Path, tenant_id: str) -> bool:
    if detect_export_format(file):
        return _export_holds_forgotten(records, file, tenant_id)
    with file.open("rb") as content:
        sha256 = file_digest(content, "sha256").hexdigest()
    with records.reading() as connection:
        return not has_bytes(connection, sha256)


def _export_holds_forgotten(records: Records, file: Path, tenant_id: str) -> bool:
    keys = _post_keys(file)
    while some := list(islice(keys, BATCH_POSTS)):
        with records.reading() as connection:
            if tombstones.any_forgotten(connection, tenant_id, some):
                return True
    return False


def _post_keys(file: Path) -> Iterator[str]:
    for record in read_export(file):
        if isinstance(record, ExportRecord):
            try:
                yield read_post(record.raw, record.record_format).source_key
            except (NotAPost, BadRecord):
                continue
