"""JSON documents that hold posts: lists, envelopes of the Bot API, exports of Telegram Desktop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatai_assets.adapters.telegram_exports.json_stream import BrokenJson, JsonStreamReader

MAX_FIELDS = 1_000
"""No record of Telegram has nearly as many; an object that has is some other document."""
CHAT_FIELDS = ("id", "name", "type")
CHAT_LISTS = ("chats", "left_chats")


@dataclass(frozen=True, slots=True)
class RawRecord:
    """Something that stands where records stand.

    Attributes:
        value: any JSON.
        chat: what an export of Telegram Desktop has said of the chat so far; the same object for all its messages.
    """

    value: Any
    chat: dict[str, Any] | None = None


def iter_records(cursor: JsonStreamReader) -> Iterator[RawRecord]:
    """Yield what stands where records stand: in lists, envelopes and chats, or one after the other.

    Raises:
        BrokenJson: what was yielded before stands.
    """
    while head := cursor.peek():
        if head == "[":
            for _ in cursor.elements():
                yield RawRecord(cursor.value())
        elif head == "{":
            yield from _object(cursor)
        else:
            yield RawRecord(cursor.value())


def _object(cursor: JsonStreamReader) -> Iterator[RawRecord]:
    fields: dict[str, Any] = {}
    holds_others = False
    for key in cursor.keys():  # noqa: SIM118 - it is no dict: each key is read from the file
        head = cursor.peek()
        if (key, head) == ("messages", "["):
            yield from _messages(cursor, fields)
        elif key in CHAT_LISTS and head == "{":
            yield from _chats(cursor)
        elif key == "result" and head in ("[", "{"):
            yield from _results(cursor, head)
        else:
            fields[key] = cursor.value()
            if len(fields) > MAX_FIELDS:
                raise BrokenJson("an object has too many fields")
            continue
        holds_others = True
    if not holds_others:
        yield RawRecord(fields)


def _messages(cursor: JsonStreamReader, chat: dict[str, Any]) -> Iterator[RawRecord]:
    for _ in cursor.elements():
        yield RawRecord(cursor.value(), chat)


def _chats(cursor: JsonStreamReader) -> Iterator[RawRecord]:
    for key in cursor.keys():  # noqa: SIM118 - as above
        if key != "list" or cursor.peek() != "[":
            cursor.value()
            continue
        for _ in cursor.elements():
            if cursor.peek() == "{":
                yield from _object(cursor)
            else:
                yield RawRecord(cursor.value())


def _results(cursor: JsonStreamReader, head: str) -> Iterator[RawRecord]:
    if head == "{":
        yield RawRecord(cursor.value())
        return
    for _ in cursor.elements():
        yield RawRecord(cursor.value())


class ChatLookup:
    """Which chat a message belongs to.

    Telegram Desktop writes a chat's id, name and type before its messages. A tool that sorts keys
    puts some of them after: then the file is walked through once more to find them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current: dict[str, Any] | None = None
        self._number = -1
        self._all: list[dict[str, Any]] | None = None

    def of(self, chat: dict[str, Any]) -> dict[str, Any]:
        """Return id, name and type of the chat that the walk is in."""
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
            for element in iter_records(JsonStreamReader(stream)):
                if element.chat is not None and (not chats or element.chat is not chats[-1]):
                    chats.append(element.chat)
        except BrokenJson:
            return chats  # the walk that asked comes to the same place, and reports it
    return chats
