"""The inbox folder: files that are dropped there become arrivals and move to ``done/`` or ``rejected/``.

A file is taken once no process writes to it. After a crash between taking and moving it is taken again, which adds
nothing.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path

from chatai_assets.observability import REJECTED as REFUSED
from chatai_assets.observability import log
from chatai_assets.pipeline.ingest import HIDDEN, IngestReport, Intake, Rejected, ingest, ingest_file
from chatai_assets.storage.inbox import is_empty
from chatai_assets.storage.key_values import get_value, put_value

DONE = "done"
REJECTED = "rejected"
REASON = ".reason.txt"
LONGEST_NAME = 230
"""Bytes of a moved file's name: most systems allow 255, and a number and ``REASON`` may be added."""
LONGEST_SUFFIX = 16
UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp", ".swp")
"""Endings that browsers and copying programs give to files they are still writing."""
SETTLED_S = 5.0
"""Seconds without a change after which a file counts as complete, if no process has it open for writing."""
REASONS_LISTED = 100
SAMPLES = "samples"
"""Checkpoint: the bundled samples were taken."""


@dataclass(frozen=True, slots=True)
class FolderLimits:
    """How much is taken at once.

    Attributes:
        files: files at most.
        seconds: no further file is begun after this long.
    """

    files: int = 500
    seconds: float = 20.0


@dataclass(slots=True)
class FolderReport:
    """What became of the files in the folder.

    Attributes:
        arrivals: what was taken.
        taken: files moved to ``done/``.
        rejected: files moved to ``rejected/``.
        unfinished: files that a process still writes, or may.
        left: complete files left for the next time.
    """

    arrivals: IngestReport = field(default_factory=IngestReport)
    taken: int = 0
    rejected: int = 0
    unfinished: int = 0
    left: int = 0


def take_folder(
    folder: Path,
    intake: Intake,
    *,
    limits: FolderLimits = FolderLimits(),
    clock: Callable[[], float] = time.time,
) -> FolderReport:
    """Take in the complete files of a folder and its subfolders, in the order of their names.

    Links are refused, not followed: who may drop files here may not read all that we may. So are pipes, which would
    let us wait for ever.

    Args:
        clock: epoch seconds, by which the age of a file is judged.

    Raises:
        StoreUnavailable: the record store or the blobs cannot be written; the file at hand stays where it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = FolderReport()
    found = list(_visible_files(folder))
    written = _open_for_writing() if found else set()
    complete = [file for file in found if _is_complete(file, clock(), written)]
    report.unfinished = len(found) - len(complete)
    started = time.monotonic()
    for position, file in enumerate(complete):
        if position >= limits.files or time.monotonic() - started > limits.seconds:
            report.left = len(complete) - position
            break
        _take(file, folder, intake, report)
    return report


def take_samples(samples: Path, intake: Intake) -> IngestReport | None:
    """Take in the bundled samples, once, into a home in which nothing ever arrived; None if there was nothing to do."""
    with intake.records.reading() as connection:
        if get_value(connection, SAMPLES):
            return None
        empty = is_empty(connection)
    report = ingest([samples], replace(intake, door=SAMPLES)) if empty else None
    with intake.records.begin() as connection:
        put_value(connection, SAMPLES, "taken")
    return report


def _visible_files(folder: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(folder):
        here = Path(directory)
        kept = (name for name in sorted(folders) if not name.startswith(HIDDEN))
        folders[:] = [name for name in kept if here != folder or name not in {DONE, REJECTED}]
        links = (name for name in folders if (here / name).is_symlink())
        for name in sorted([*files, *links]):
            if not name.startswith(HIDDEN):
                yield here / name


def _is_complete(file: Path, now: float, written: set[str]) -> bool:
    if file.name.lower().endswith(UNFINISHED):
        return False
    try:
        found = file.lstat()
    except OSError:
        return False  # renamed or removed meanwhile
    # The time of the last change cannot be set back by a copying program, as that of the last writing can.
    changed = max(found.st_mtime if found.st_mtime <= now else 0.0, found.st_ctime)
    return abs(now - changed) >= SETTLED_S and str(file.resolve()) not in written


def _open_for_writing() -> set[str]:
    """Return the files that processes of this machine have open for writing, where the system shows it (Linux)."""
    found = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError, ValueError):
            target = str(descriptor.readlink())
            if target.startswith("/") and not target.startswith(("/dev/", "/proc/")) and _writes(descriptor):
                found.add(target)
    return found


def _writes(descriptor: Path) -> bool:
    text = (descriptor.parent.parent / "fdinfo" / descriptor.name).read_text(encoding="ascii")
    flags = next(line.split()[1] for line in text.splitlines() if line.startswith("flags:"))
    return bool(int(flags, 8) & (os.O_WRONLY | os.O_RDWR))


def _take(file: Path, folder: Path, intake: Intake, report: FolderReport) -> None:
    """Take in one file and move it; refused records are listed in a file next to it."""
    said = IngestReport()
    if reason := _no_file(file):
        said.rejected.append(Rejected(str(file), reason))
        log.warning(REFUSED, file=file.name, reason=reason)
    else:
        ingest_file(file, intake, said)
    arrivals = report.arrivals
    arrivals.posts += said.posts
    arrivals.documents += said.documents
    arrivals.duplicates += said.duplicates
    arrivals.skipped += said.skipped
    arrivals.deleted += said.deleted
    arrivals.rejected.extend(said.rejected)
    taken = said.posts or said.documents or said.duplicates or said.skipped or said.deleted
    refused = bool(said.rejected) and not taken
    report.rejected += refused
    report.taken += not refused
    moved = _move(file, folder / (REJECTED if refused else DONE) / file.relative_to(folder))
    if moved and said.rejected:
        reasons = [rejected.reason for rejected in said.rejected]
        more = [f"and {len(reasons) - REASONS_LISTED} more"] if len(reasons) > REASONS_LISTED else []
        text = "\n".join([*reasons[:REASONS_LISTED], *more]) + "\n"
        moved.with_name(moved.name + REASON).write_text(text, encoding="utf-8")


def _no_file(path: Path) -> str:
    """Return why something in the folder is not even opened; "" for a file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""  # taken away meanwhile; reading it will say so
    if stat.S_ISLNK(mode):
        return "This is a link, and links are not followed. Drop the file itself."
    return "" if stat.S_ISREG(mode) else "This is no regular file."


def _move(file: Path, wanted: Path) -> Path | None:
    """Move a file, under another name if there is one of that name; None if it was taken away meanwhile."""
    target = _free_name(wanted)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        return file.rename(target)
    except FileNotFoundError:
        return None


def _free_name(wanted: Path) -> Path:
    """Return the path itself, or the first of ``report (2).pdf``, ``report (3).pdf`` ... that is free."""
    wanted = wanted.with_name(_shortened(wanted.name))
    numbered = (wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}") for number in count(2))
    return next(path for path in chain([wanted], numbered) if not os.path.lexists(path))


def _shortened(name: str) -> str:
    """Return the name, cut before its suffix where nothing could be added to it."""
    suffix = Path(name).suffix
    suffix = suffix if len(suffix) <= LONGEST_SUFFIX else ""
    stem = name.removesuffix(suffix)
    while len(os.fsencode(stem + suffix)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + suffix
