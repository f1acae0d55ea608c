"""Messages between the sandbox and its workers: length-prefixed JSON, never pickle.

A response comes from a process that has read an untrusted file, so it may only be data.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

from chatai_assets.domain.documents import Page, ParsedDocument, Section

HEADER = struct.Struct(">Q")


def encode_message(message: dict[str, Any]) -> bytes:
    """Return a message as it is sent through the pipe: 8 bytes of length, then JSON."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    return HEADER.pack(len(body)) + body


def read_message(stream: BinaryIO) -> dict[str, Any] | None:
    """Return the next message of a blocking stream; None at its end."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return decode_message(stream.read(HEADER.unpack(header)[0]))


def decode_message(body: bytes) -> dict[str, Any]:
    """Return the message in ``body``.

    Raises:
        ValueError: it is not JSON.
    """
    message: dict[str, Any] = json.loads(body)
    return message


def document_to_message(document: ParsedDocument) -> dict[str, Any]:
    """Return a document as plain JSON values."""
    return {
        "text": document.text,
        "format": document.format,
        "title": document.title,
        "pages": [[page.number, page.start, page.end] for page in document.pages],
        "sections": [[section.level, section.title, section.start] for section in document.sections],
        "links": document.links,
        "notes": document.notes,
        "scans": document.scans,
    }


def document_from_message(message: dict[str, Any]) -> ParsedDocument:
    """Return the document in a message.

    Raises:
        KeyError, TypeError, ValueError: the message is not a document.
    """
    title = message["title"]
    return ParsedDocument(
        text=str(message["text"]),
        format=str(message["format"]),
        title=None if title is None else str(title),
        pages=tuple(Page(int(number), int(start), int(end)) for number, start, end in message["pages"]),
        sections=tuple(Section(int(level), str(name), int(start)) for level, name, start in message["sections"]),
        links=tuple(map(str, message["links"])),
        notes=tuple(map(str, message["notes"])),
        scans=tuple(map(int, message["scans"])),
    )
