"""Files -> arrivals in the inbox: posts from exports, documents from everything else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import TypeVar

from chatai_assets.adapters.telegram_exports.reader import ExportFault, ExportRecord, detect_export_format, read_export
from chatai_assets.domain.documents import sentence
from chatai_assets.domain.errors import BadRecord, UnreadableDocument
from chatai_assets.domain.ids import document_id_of, document_key
from chatai_assets.domain.revisions import Arrival
from chatai_assets.domain.telegram.deletions import deleted_post_keys
from chatai_assets.domain.telegram.formats import NotAPost, read_post
from chatai_assets.files.blobs import Blobs
from chatai_assets.observability import INGESTED, REJECTED, log
from chatai_assets.pipeline.blob_cleanup import delete_unreferenced
from chatai_assets.storage import inbox
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.erasure import forget_posts, lock_blobs_shared
from chatai_assets.storage.sql import batched

T = TypeVar("T")
BATCH = 1_000
HIDDEN = (".", "~$")
"""Beginnings of names of files that editors and systems leave behind."""


@dataclass(slots=True)
class Rejected:
    """A file, or a record of one, that was not taken, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class IngestReport:
    """What became of some paths.

    Attributes:
        posts: new posts and new revisions of known ones.
        documents: new documents and new revisions of known ones.
        duplicates: arrivals that say nothing new.
        skipped: records that are no posts: service messages, posts without text, deletions of what is not there.
        deleted: posts that were deleted where they came from, and are forgotten.
    """

    posts: int = 0
    documents: int = 0
    duplicates: int = 0
    skipped: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Deletion:
    """News that posts were deleted; their source keys."""

    source_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Intake:
    """Where arrivals go and whose they are."""

    records: Records
    blobs: Blobs
    tenant_id: str
    door: str
    max_file_bytes: int
    clock: Callable[[], float] = time.time


def ingest(paths: Iterable[Path], intake: Intake, *, on_file: Callable[[Path], None] | None = None) -> IngestReport:
    """Take in files and folders; what cannot be taken is reported and stops nothing.

    Args:
        on_file: called after each file, for progress.

    Raises:
        StoreUnavailable: the record store or the blobs cannot be written; what was taken before stays.
    """
    report = IngestReport()
    for path in paths:
        for file in files_of(path):
            ingest_file(file, intake, report)
            if on_file:
                on_file(file)
        if not path.exists():
            _reject(report, path, "There is no such file or folder.")
    log.info(
        INGESTED,
        posts=report.posts,
        documents=report.documents,
        duplicates=report.duplicates,
        skipped=report.skipped,
        rejected=len(report.rejected),
        deleted=report.deleted,
    )
    return report


def files_of(path: Path) -> list[Path]:
    """Return the file itself, or all visible files of a folder, in the order of their names."""
    if path.is_dir():
        inside = (file for file in sorted(path.rglob("*")) if file.is_file())
        return [file for file in inside if not any(part.startswith(HIDDEN) for part in file.relative_to(path).parts)]
    return [path] if path.is_file() else []


def ingest_file(path: Path, intake: Intake, report: IngestReport) -> None:
    """Take in one file, adding to the report what became of it."""
    try:
        if detect_export_format(path):
            _ingest_export(path, intake, report)
        else:
            _ingest_document(path, intake, report)
    except UnreadableDocument as error:
        _reject(report, path, sentence(error.reason, "en"))
    except OSError as error:
        _reject(report, path, f"The file cannot be read: {error.strerror or type(error).__name__}.")


def _ingest_export(path: Path, intake: Intake, report: IngestReport) -> None:
    for batch in batches(_arrivals(path, intake, report), BATCH):
        counts: Counter[str] = Counter()
        with intake.records.begin() as connection:
            for _, alike in groupby(batch, key=type):
                counts.update(_receive(connection, list(alike), intake))
        report.posts += counts["latest"]
        report.duplicates += counts["unchanged"] + counts["superseded"]
        report.skipped += counts["skipped"]
        report.deleted += counts["deleted"]


def _receive(connection: Transaction, news: Sequence[Arrival | Deletion], intake: Intake) -> Counter[str]:
    """Take in arrivals, or deletions, that came one after the other; return outcome -> how many."""
    now = intake.clock()
    keys = [key for each in news if isinstance(each, Deletion) for key in each.source_keys]
    if keys:
        deleted = sum(forget_posts(connection, intake.tenant_id, some, now=now) for some in batched(keys))
        return Counter(deleted=deleted, skipped=len(keys) - deleted)
    arrivals = [each for each in news if isinstance(each, Arrival)]
    return Counter(inbox.receive(connection, intake.tenant_id, "post", arrivals, now=now))


def _arrivals(path: Path, intake: Intake, report: IngestReport) -> Iterator[Arrival | Deletion]:
    """Yield the posts of an export, and what it says of deleted ones."""
    for record in read_export(path):
        if isinstance(record, ExportFault):
            _reject(report, path, f"Record {record.position}: {record.reason}")
            continue
        if deleted := deleted_post_keys(record.raw, record.record_format):
            yield Deletion(deleted)
            continue
        try:
            yield _post_arrival(record, intake)
        except NotAPost:
            report.skipped += 1
        except BadRecord as error:
            _reject(report, path, f"Record {record.position}: {error}")


def _post_arrival(record: ExportRecord, intake: Intake) -> Arrival:
    post = read_post(record.raw, record.record_format)
    return Arrival(
        tenant_id=intake.tenant_id,
        door=intake.door,
        kind="post",
        source_key=post.source_key,
        record_format=record.record_format,
        payload=record.raw,
        content_hash=post.content_hash,
        revised_at=post.revised_at,
        has_words=bool(post.text),
    )


def _ingest_document(path: Path, intake: Intake, report: IngestReport) -> None:
    blob = intake.blobs.put(path, max_bytes=intake.max_file_bytes)
    now = intake.clock()
    name = path.name.encode("utf-8", "replace").decode()  # no store keeps a name that is not Unicode
    with intake.records.begin() as connection:
        own = document_key(document_id_of(str(path.resolve())))
        arrival = Arrival(
            tenant_id=intake.tenant_id,
            door=intake.door,
            kind="document",
            source_key=inbox.find_document_key(connection, intake.tenant_id, own, name, blob.sha256),
            record_format="file",
            payload={"sha256": blob.sha256, "file_name": name, "size_bytes": blob.size_bytes},
            content_hash=blob.sha256,
            revised_at=int(now),
        )
        lock_blobs_shared(connection)
        if not intake.blobs.path_of(blob.sha256).exists():  # the last item that had these bytes was erased meanwhile
            intake.blobs.put(path, max_bytes=intake.max_file_bytes)
        outcome = inbox.receive(connection, intake.tenant_id, "document", [arrival], now=now)[0]
    report.documents += outcome == "latest"
    report.duplicates += outcome != "latest"
    if outcome != "latest":
        delete_unreferenced(intake.records, intake.blobs, blob.sha256)


def _reject(report: IngestReport, path: Path, reason: str) -> None:
    report.rejected.append(Rejected(str(path), reason))
    log.warning(REJECTED, file=path.name, reason=reason)


def batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most ``size`` items."""
    while batch := list(islice(items, size)):
        yield batch
