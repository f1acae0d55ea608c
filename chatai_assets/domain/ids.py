"""Source keys, point ids, fingerprints, idempotency keys and the hour of an arrival.

Everything here is stored and compared later: changing how a key is made is a migration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, NamedTuple, Protocol, Self
from uuid import UUID, uuid5

Stream = Literal["posts", "documents"]
STREAMS: tuple[Stream, ...] = ("posts", "documents")

POINTS = UUID("6f1c1c9a-6a53-5d0e-9a0b-2f6f6f0f7f11")  # never change: every stored point id hangs on it
HOUR_FORMAT = "%Y-%m-%d-%H:%M"
"""How Dagster's hourly partitions write their keys."""

DEFAULT_TENANT = "default"


class _ItemRow(Protocol):
    """A row with the columns ``tenant_id`` and ``source_key``."""

    def __getitem__(self, name: str, /) -> Any: ...


class ItemKey(NamedTuple):
    """Which item: a post or a document of one tenant.

    Attributes:
        tenant_id: the organization.
        source_key: ``tg/<chat id>/<message id>`` or ``doc/<document id>``, see ``post_key`` and ``document_key``.
    """

    tenant_id: str
    source_key: str

    @classmethod
    def of(cls, row: _ItemRow) -> Self:
        """Return the key of the item that a row belongs to."""
        return cls(row["tenant_id"], row["source_key"])


def post_key(chat_id: int, message_id: int) -> str:
    """Return the source key of a post: ``tg/<chat id>/<message id>``, the chat id as the Bot API writes it."""
    return f"tg/{chat_id}/{message_id}"


def document_key(document_id: str) -> str:
    """Return the source key of a document: ``doc/<document id>``."""
    return f"doc/{document_id}"


def document_id_of(location: str) -> str:
    """Return the id of a document that came as a file: 16 hex digits of where it lies.

    The same file brought again, with other content, is a new revision of the same document.

    Args:
        location: the absolute path of the file, or any other stable name of it.
    """
    return digest("file", location)[:16]


def stream_of(source_key: str) -> Stream:
    """Return the stream a source key belongs to; ``ValueError`` for a key of neither form."""
    if source_key.startswith("tg/"):
        return "posts"
    if source_key.startswith("doc/"):
        return "documents"
    raise ValueError(f"{source_key!r} is no source key: it must be tg/<chat id>/<message id> or doc/<document id>")


def digest(*parts: str) -> str:
    """Return the sha256, in hex, of the parts; no two different lists of parts share their input bytes."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(*made_from: str) -> str:
    """Return what says from what a result was computed (text, model, prompt and code version): 32 hex digits."""
    return digest(*made_from)[:32]


def canonical_json(value: Mapping[str, Any] | list[Any]) -> str:
    """Return JSON in which equal values have equal text: keys sorted, no spaces, letters as they are."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def point_id(tenant_id: str, source_key: str, part: str, ordinal: int) -> UUID:
    """Return the id under which one chunk lives in the vector index.

    The id says where the chunk sits, not what it says: two reposts with the same
    words stay two points, and an edited chunk overwrites its own point.

    Args:
        tenant_id: the organization; two tenants never share a point.
        source_key: the post or document, e.g. ``"tg/-1001234/57"``.
        part: ``"body"``, or the hash of a linked page.
        ordinal: 0-based position of the chunk within its part.
    """
    return uuid5(POINTS, f"{tenant_id}|{source_key}|{part}|{ordinal}")


def hour_of(epoch_s: float) -> str:
    """Return the partition key of the hour, in UTC, that holds a moment: ``"2026-11-21-22:00"``."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d-%H:00")


def hour_start(hour: str) -> int:
    """Return the epoch second at which an hour begins; ``ValueError`` if it is no partition key."""
    return int(datetime.strptime(hour, HOUR_FORMAT).replace(tzinfo=UTC).timestamp())
