"""Finds the records in JSON documents of posts: lists, envelopes of the Bot API, exports of Telegram Desktop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatai_assets.adapters.telegram_exports.json_stream import BrokenJson, JsonStreamReader

MAX_FIELDS = 1_000
"""No record of Telegram has nearly as many; an object that has more is another kind of document."""
CHAT_FIELDS = ("id", "name", "type")
CHAT_LISTS = ("chats", "left_chats")


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A value at a place where records are expected.

    Attributes:
        value: any JSON value.
        chat: fields of the chat that an export of Telegram Desktop had before it; the same object for all its messages.
    """

    value: Any
    chat: dict[str, Any] | None = None


def iter_records(reader: JsonStreamReader) -> Iterator[RawRecord]:
    """Yield the values where records are expected: in lists, envelopes and chats, or one after the other.

    Raises:
        BrokenJson: the rest is not JSON; records yielded before are valid.
    """
    while head := reader.peek():
        if head == "[":
            for _ in reader.elements():
                yield RawRecord(reader.value())
        elif head == "{":
            yield from _object(reader)
        else:
            yield RawRecord(reader.value())


def _object(reader: JsonStreamReader) -> Iterator[RawRecord]:
    fields: dict[str, Any] = {}
    has_records = False
    for key in reader.keys():  # noqa: SIM118 - not a dict: each key is read from the file
        head = reader.peek()
        if (key, head) == ("messages", "["):
            yield from _messages(reader, fields)
        elif key in CHAT_LISTS and head == "{":
            yield from _chats(reader)
        elif key == "result" and head in ("[", "{"):
            yield from _results(reader, head)
        else:
            fields[key] = reader.value()
            if len(fields) > MAX_FIELDS:
                raise BrokenJson("an object has too many fields")
            continue
        has_records = True
    if not has_records:
        yield RawRecord(fields)


def _messages(reader: JsonStreamReader, chat: dict[str, Any]) -> Iterator[RawRecord]:
    for _ in reader.elements():
        yield RawRecord(reader.value(), chat)


def _chats(reader: JsonStreamReader) -> Iterator[RawRecord]:
    for key in reader.keys():  # noqa: SIM118 - as above
        if key != "list" or reader.peek() != "[":
            reader.value()
            continue
        for _ in reader.elements():
            if reader.peek() == "{":
                yield from _object(reader)
            else:
                yield RawRecord(reader.value())


def _results(reader: JsonStreamReader, head: str) -> Iterator[RawRecord]:
    if head == "{":
        yield RawRecord(reader.value())
        return
    for _ in reader.elements():
        yield RawRecord(reader.value())


class ChatLookup:
    """Finds the chat of a message.

    Telegram Desktop writes a chat's id, name and type before its messages. A tool that sorts keys moves some of them
    behind: then the file is read a second time to find them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current: dict[str, Any] | None = None
        self._number = -1
        self._all: list[dict[str, Any]] | None = None

    def find(self, chat: dict[str, Any]) -> dict[str, Any]:
        """Return id, name and type of the current chat, given its fields so far."""
        if chat is not self._current:
            self._current = chat
            self._number += 1
        if "id" in chat and "type" in chat:
            return _chat_fields(chat)
        if self._all is None:
            self._all = _read_chats(self._path)
        return _chat_fields(self._all[self._number])


def _chat_fields(chat: Mapping[str, Any]) -> dict[str, Any]:
    return {field: chat.get(field) for field in CHAT_FIELDS}


def _read_chats(path: Path) -> list[dict[str, Any]]:
    chats: list[dict[str, Any]] = []
    with path.open("rb") as stream:
        try:
            for record in iter_records(JsonStreamReader(stream)):
                if record.chat is not None and (not chats or record.chat is not chats[-1]):
                    chats.append(record.chat)
        except BrokenJson:
            return chats  # the caller reads up to the same place and reports the error
    return chats
