"""Reads the raw records of files of posts one by one, in bounded memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from chatai_assets.adapters.telegram_exports.json_exports import ChatLookup, RawRecord, iter_records
from chatai_assets.adapters.telegram_exports.json_stream import MAX_VALUE_CHARS, BrokenJson, JsonStreamReader, decode
from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.telegram.csv_export import CHAT_COLUMNS, ID_COLUMNS, TEXT_COLUMNS
from chatai_assets.domain.telegram.deletions import TELETHON_DELETION
from chatai_assets.domain.telegram.desktop_export import CHAT
from chatai_assets.domain.telegram.formats import RecordFormat

Container = Literal["json", "jsonl", "csv"]

HEAD_BYTES = 1 << 22  # the export of a whole account can have much data before its chats
FIRST_LINE_BYTES = 1 << 16
BINARY_BYTES = 1 << 9  # a NUL further on means a damaged record, not a binary file
SAMPLE = 20
MAX_FIELD_CHARS = 1 << 20
DELIMITERS = (",", ";", "\t")
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """Format of a file of posts.

    Attributes:
        record_format: of its records.
        container: how the records are stored.
        delimiter: between the columns of a CSV.
    """

    record_format: RecordFormat
    container: Container
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """A self-contained record: ``read_post(raw, record_format)`` needs nothing else.

    Attributes:
        raw: JSON types only, and storable as UTF-8.
        record_format: of ``raw``.
        position: 1-based line of a JSONL file, row below the header of a CSV, or number of the record in JSON.
    """

    raw: dict[str, Any]
    record_format: RecordFormat
    position: int


@dataclass(frozen=True, slots=True)
class ExportFault:
    """A record that cannot be read.

    Attributes:
        position: as in ``ExportRecord``.
        reason: what is wrong with it, without its text.
    """

    position: int
    reason: str


Read = ExportRecord | ExportFault


def detect_export_format(path: Path) -> ExportFormat | None:
    """Return the format of a file of posts, from its beginning; None if it is not a file of posts.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(FIRST_LINE_BYTES)
        start = head.removeprefix(BOM).lstrip()
        if not start or b"\0" in start[:BINARY_BYTES]:
            return None
        if start[:1] not in (b"{", b"["):
            return _csv_format(start)
        head += stream.read(HEAD_BYTES - len(head))
    return _jsonl_format(head.removeprefix(BOM)) or _document_format(head)


def read_export(path: Path) -> Iterator[Read]:
    """Yield the records of a file of posts in order, with an ``ExportFault`` for each that cannot be read.

    A JSON document that is broken in the middle ends with one fault; JSONL and CSV continue with the next line.

    Raises:
        BadRecord: it is not a file of posts.
        OSError: the file cannot be read.
    """
    export = detect_export_format(path)
    if export is None:
        raise BadRecord("the file is no export of Telegram posts")
    return READERS[export.container](path, export)


def _read_document(path: Path, export: ExportFormat) -> Iterator[Read]:
    position, chats = 0, ChatLookup(path)
    with path.open("rb") as stream:
        try:
            for position, record in enumerate(iter_records(JsonStreamReader(stream)), 1):
                yield _record(_with_chat(record, chats), export, position)
        except BrokenJson as error:
            yield ExportFault(position + 1, f"the file cannot be read from this record on: {error}")


def _with_chat(record: RawRecord, chats: ChatLookup) -> Any:
    if record.chat is None or not isinstance(record.value, dict):
        return record.value
    return {**record.value, CHAT: chats.find(record.chat)}


def _record(value: Any, export: ExportFormat, position: int) -> Read:
    if isinstance(value, dict):
        return ExportRecord(value, export.record_format, position)
    return ExportFault(position, "the record is no object")


def _read_lines(path: Path, export: ExportFormat) -> Iterator[Read]:
    with path.open("rb") as stream:
        for position, line in enumerate(_lines(stream), 1):
            if line is None:
                yield ExportFault(position, "the line is too long")
            elif line := line.removeprefix(BOM).strip():
                yield from _line_records(line, export, position)


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Yield the lines of a file; None for a line that is too long."""
    while line := stream.readline(MAX_VALUE_CHARS):
        whole = line.endswith(b"\n") or len(line) < MAX_VALUE_CHARS
        while not whole:
            rest = stream.readline(MAX_VALUE_CHARS)
            if not rest or rest.endswith(b"\n"):
                break
        yield line if whole else None


def _line_records(line: bytes, export: ExportFormat, position: int) -> Iterator[Read]:
    try:
        value = decode(line.decode())
    except UnicodeDecodeError:
        yield ExportFault(position, "the line is not UTF-8")
    except BrokenJson as error:
        yield ExportFault(position, f"the line cannot be read: {error}")
    else:
        for update in _unwrap_envelope(value):
            yield _record(update, export, position)


def _unwrap_envelope(value: Any) -> list[Any]:
    """Return the updates in an envelope of the Bot API; anything else is one record."""
    if isinstance(value, dict) and "ok" in value and isinstance(value.get("result"), list):
        return list(value["result"])
    return [value]


def _read_rows(path: Path, export: ExportFormat) -> Iterator[Read]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    # Bytes that are not UTF-8 become surrogates, so that only their row is lost.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        rows = _rows(csv.reader(stream, delimiter=export.delimiter))
        header = next(rows, None)
        for position, row in enumerate(rows, 1):
            yield _row_record(header, row, position)


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str] | None]:
    """Yield the rows that are not empty; None for a row that is not CSV."""
    while True:
        try:
            if row := next(reader):
                yield row
        except StopIteration:
            return
        except csv.Error:
            yield None


def _row_record(header: list[str] | None, row: list[str] | None, position: int) -> Read:
    if header is None or row is None:
        return ExportFault(position, f"the row is no CSV, or a field is longer than {MAX_FIELD_CHARS} characters")
    if len(row) != len(header):
        return ExportFault(position, f"the row has {len(row)} columns, the header has {len(header)}")
    if any("\udc80" <= char <= "\udcff" for field in row if not field.isascii() for char in field):
        return ExportFault(position, "the row is not UTF-8")
    return ExportRecord({name: field for name, field in zip(header, row, strict=True) if field}, "csv", position)


READERS: Mapping[Container, Callable[[Path, ExportFormat], Iterator[Read]]] = {
    "json": _read_document,
    "jsonl": _read_lines,
    "csv": _read_rows,
}


def _csv_format(head: bytes) -> ExportFormat | None:
    line = head.split(b"\n", 1)[0].decode(errors="replace").strip()
    for delimiter in DELIMITERS:
        names = set(line.replace('"', "").split(delimiter))
        if "date" in names and all(names & set(kind) for kind in (CHAT_COLUMNS, ID_COLUMNS, TEXT_COLUMNS)):
            return ExportFormat("csv", "csv", delimiter)
    return None


def _jsonl_format(head: bytes) -> ExportFormat | None:
    lines = (line.strip() for line in io.BytesIO(head))
    for line in islice(filter(None, lines), SAMPLE):
        if not (line.startswith(b"{") and line.endswith(b"}")):
            return None
        try:
            values = _unwrap_envelope(decode(line.decode()))
        except (BrokenJson, UnicodeDecodeError):
            continue
        for value in values:
            if record_format := _detect_record_format(value):
                return ExportFormat(record_format, "jsonl")
    return None


def _document_format(head: bytes) -> ExportFormat | None:
    try:
        for record in islice(iter_records(JsonStreamReader(io.BytesIO(head))), SAMPLE):
            record_format = (
                _detect_record_format(record.value) if record.chat is None else _detect_message_format(record.value)
            )
            if record_format:
                return ExportFormat(record_format, "json")
    except BrokenJson:
        return None
    return None


def _detect_message_format(value: Any) -> RecordFormat | None:
    """Return "desktop" for a message of a chat; other files may also have a list named ``messages``."""
    fields = value if isinstance(value, dict) else {}
    return "desktop" if fields.get("type") in ("message", "service") and {"id", "date"} <= fields.keys() else None


def _detect_record_format(value: Any) -> RecordFormat | None:
    """Return the format of a record outside a chat; None if it is not a record of posts."""
    fields = value if isinstance(value, dict) else {}
    if "update_id" in fields or {"message_id", "chat", "date"} <= fields.keys():
        return "bot_api"
    if {"id", "peer_id", "date"} <= fields.keys() or fields.get("_") == TELETHON_DELETION:
        return "telethon"
    if {"message_id", "text", "date"} <= fields.keys() and fields.keys() & {"sender_id", "chat_id", "channel_id"}:
        return "channel_list"
    return None
