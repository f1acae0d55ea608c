"""Collections of the embedded index as folders: one per model and layout version, with a file as alias.

::

    <index>/current                          the name of the current collection
    <index>/use-multilingual-v3-0.2.1-512-v1/about.json    model, dimensions, layout
    <index>/use-multilingual-v3-0.2.1-512-v1/shard/        Qdrant Edge's files
    <index>/use-multilingual-v3-0.2.1-512-v1/unfinished    exists during a write, and after a writer was killed
    <index>/use-multilingual-v3-0.2.1-512-v1/mark          generation of its last write session

Callers hold the lock of the index (``files.locks``).
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from shutil import copyfile, rmtree
from tempfile import TemporaryDirectory
from typing import Any

import qdrant_edge as edge

from chatai_assets.adapters.vectors.collection import Collection
from chatai_assets.domain.errors import StoreDamaged, StoreUnavailable
from chatai_assets.files.os_errors import describe_errno

UNFINISHED = "unfinished"
COPY_SUFFIX = "-anew"
"""A collection has one of two names: a copy takes the name that its original does not have."""
COPIED_AT_ONCE = 1_000
RUST_ERRNOS = {
    "WouldBlock": errno.EWOULDBLOCK,
    "PermissionDenied": errno.EACCES,
    "StorageFull": errno.ENOSPC,
    "QuotaExceeded": errno.EDQUOT,
    "ReadOnlyFilesystem": errno.EROFS,
    "OutOfMemory": errno.ENOMEM,
}
"""Rust's names of system errors, for messages without a number."""
READ_AHEAD, READ_LATER = b'"InRamChunkedMmap"', b'"ChunkedMmap"'
"""Values in a segment's description: load the vectors of the same file at once, or on demand."""
DAMAGED = "the vector index cannot be {doing} ({reason}); check the disk, or rebuild the index from the record store"


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Raise errors of Qdrant Edge and the disk as ``StoreDamaged``, or ``StoreUnavailable`` if the system refused.

    Edge raises bare ``Exception`` with a sentence, and Rust panics arrive as a ``BaseException`` of pyo3's.
    A refusal is described by its errno, damage by the first line of the message.
    """
    try:
        yield
    except (StoreUnavailable, GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if not _of_edge(error):
            raise
        if _of_system(error):
            raise StoreUnavailable(f"the vector index cannot be {doing}: {describe_errno(_number(error))}") from error
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise StoreDamaged(DAMAGED.format(doing=doing, reason=reason)) from error


def read_description(folder: Path) -> Collection:
    """Return model, dimensions and layout of a collection; ``StoreDamaged`` if its description is unreadable."""
    try:
        return Collection(**json.loads((folder / "about.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise StoreDamaged(DAMAGED.format(doing="read", reason="its about.json is missing or broken")) from error
    except OSError as error:
        raise StoreUnavailable(f"the vector index cannot be read: {describe_errno(error.errno)}") from error


def create(index: Path, collection: Collection) -> Path:
    """Create an empty collection and return its folder; an interrupted creation leaves no valid collection."""
    return _create(index / collection.name, collection, of=None)


def copy(shard: edge.EdgeShard, folder: Path, collection: Collection) -> Path:
    """Create a collection with only the points of an open one; return its folder.

    Args:
        folder: of the open one; the new one takes the other of its two names in the same parent.
    """
    index, other = folder.parent, f"{collection.name}{COPY_SUFFIX}"
    return _create(index / (collection.name if folder.name == other else other), collection, of=shard)


def keep_only(folder: Path, collection: Collection) -> None:
    """Remove the original of a copied collection, quarantined files and unfinished leftovers."""
    index = folder.parent
    others = (index / collection.name, index / f"{collection.name}{COPY_SUFFIX}")
    for old in (*others, *index.glob("lost-*"), *index.glob("*.new")):
        if old.is_dir() and old != folder:
            rmtree(old)


def _create(folder: Path, collection: Collection, of: edge.EdgeShard | None) -> Path:
    unfinished = folder.with_name(f"{folder.name}.new")
    for leftover in (unfinished, folder):
        rmtree(leftover, ignore_errors=True)
    (unfinished / "shard").mkdir(parents=True)
    shard = edge.EdgeShard.create(str(unfinished / "shard"), _config(collection.dimensions))
    for name in collection.fields.keywords:
        shard.update(edge.UpdateOperation.create_field_index(name, edge.PayloadSchemaType.Keyword))
    for name in collection.fields.integers:
        shard.update(edge.UpdateOperation.create_field_index(name, edge.PayloadSchemaType.Integer))
    if of is not None:
        _copy_points(of, shard)
    shard.flush()
    shard.close()
    (unfinished / "about.json").write_text(json.dumps(asdict(collection)), encoding="utf-8")
    unfinished.rename(folder)
    return folder


def _copy_points(source: edge.EdgeShard, target: edge.EdgeShard) -> None:
    offset = None
    while True:
        wanted = edge.ScrollRequest(offset=offset, limit=COPIED_AT_ONCE, with_payload=True, with_vector=True)
        page, offset = source.scroll(wanted)
        if page:
            target.update(edge.UpdateOperation.upsert_points([_same_point(record) for record in page]))
        if offset is None:
            return


def _same_point(record: Any) -> edge.Point:
    stored = record.vector["sparse"]
    sparse = edge.SparseVector(indices=list(stored.indices), values=list(stored.values))
    dense = list(record.vector["dense"])
    return edge.Point(id=record.id, vector={"dense": dense, "sparse": sparse}, payload=record.payload or {})


@contextmanager
def open_shard(folder: Path) -> Iterator[edge.EdgeShard]:
    """Yield the shard of a collection and close it, also when the block raises."""
    with translate_errors("opened"):
        shard = edge.EdgeShard.load(str(folder / "shard"))
    try:
        yield shard
    finally:
        with translate_errors("closed"):
            shard.close()


@contextmanager
def open_for_writing(folder: Path) -> Iterator[edge.EdgeShard]:
    """Yield the shard of a collection; writes are on disk when the block ends, even if it raises."""
    with translate_errors("written"), (folder / UNFINISHED).open("wb") as mark:
        os.fsync(mark.fileno())
    with open_shard(folder) as shard:
        try:
            yield shard
        finally:
            with translate_errors("written"):
                shard.flush()
    with translate_errors("written"):
        (folder / UNFINISHED).unlink(missing_ok=True)


def is_unfinished(folder: Path) -> bool:
    """Return whether a writer was killed: its writes are in the log, which ``open_for_writing`` replays."""
    return (folder / UNFINISHED).exists()


@contextmanager
def open_view(folder: Path, *, to_search: bool = True) -> Iterator[edge.EdgeShard]:
    """Yield the shard of a finished collection for reading; any number of processes may do so at once.

    Opening a shard locks its log. A closed shard has all its data in segments, so a view links these and has an empty
    log of its own.

    Args:
        to_search: whether it is searched with filters; if not, it opens in half the time with a quarter of the memory.
    """
    with (
        translate_errors("opened"),
        TemporaryDirectory(dir=folder, prefix="view-", ignore_cleanup_errors=True) as view,
    ):
        segments = folder / "shard" / "segments"
        if to_search:
            (Path(view) / "segments").symlink_to(segments)
        else:
            _link_for_walk(segments, Path(view) / "segments")
        copyfile(folder / "shard" / "edge_config.json", Path(view) / "edge_config.json")
        (Path(view) / "wal").mkdir()
        shard = edge.EdgeShard.load(view)
        try:
            yield shard
        finally:
            shard.close()


def _link_for_walk(segments: Path, view: Path) -> None:
    """Link segments without payload indexes, and with vectors that are loaded on demand.

    Edge builds indexes in memory when it loads a segment, and loads all vectors at once.
    """
    for segment in segments.iterdir():
        (mine := view / segment.name).mkdir(parents=True)
        for file in segment.iterdir():
            if file.name == "segment.json":
                (mine / file.name).write_bytes(file.read_bytes().replace(READ_AHEAD, READ_LATER))
            elif file.name != "payload_index":
                (mine / file.name).symlink_to(file)


def clear_views(folder: Path) -> None:
    """Remove views of killed searches; the caller holds the exclusive lock."""
    for view in folder.glob("view-*"):
        rmtree(view, ignore_errors=True)


def _config(dimensions: int) -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={"dense": edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine)},
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
    )


def _of_system(error: BaseException) -> bool:
    """Return whether the system refused (a lock, a permission, a full disk); a missing file is damage."""
    if isinstance(error, OSError):
        return not isinstance(error, FileNotFoundError)
    return _number(error) is not None


def _number(error: BaseException) -> int | None:
    """Return the errno of an error, also from its text; None for a missing file (ENOENT)."""
    if isinstance(error, OSError):
        return error.errno
    numbers = [int(number) for number in re.findall(r"(?:os error|code:) (\d+)", str(error))]
    numbers += [number for kind, number in RUST_ERRNOS.items() if kind in str(error)]
    return next((number for number in numbers if number != errno.ENOENT), None)


def _of_edge(error: BaseException) -> bool:
    return type(error) is Exception or isinstance(error, OSError) or type(error).__name__ == "PanicException"
