"""The post, and the functions that the parsers of all record formats share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.ids import canonical_json, digest, post_key
from chatai_assets.domain.text.normalize import distinct, locate_links, normalise

RecordFormat = Literal["bot_api", "desktop", "telethon", "channel_list", "csv"]
RECORD_FORMATS: tuple[RecordFormat, ...] = ("bot_api", "desktop", "telethon", "channel_list", "csv")

CHANNEL_BASE = -1_000_000_000_000
"""The Bot API writes channel or supergroup N as this minus N: ``-100`` before its ten digits."""
LARGEST_ID = 1 << 52
"""The Bot API guarantees that ids fit into 52 bits."""

PUBLIC_NAME = re.compile(r"[A-Za-z]\w{2,31}", re.ASCII)

LinkTargets = Iterable[tuple[int, str]]
"""Offset in the text and target of links that are not visible in the text."""


class NotAPost(ValueError):
    """A record that is not a post: a service message, a reaction, a boost.

    Args:
        reason: what it is, in a few words and without its content.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Post:
    """A message of a channel or chat, in any record format.

    Attributes:
        chat_id: as the Bot API writes it: ``-100...`` for channels and supergroups.
        channel: the title of the chat.
        username: public name without ``@``; None for private chats.
        text: plain text, normalised (NFC, ``\\n`` line ends, no control characters, trimmed); may be empty.
        links: absolute http(s) URLs in text order, each once.
        published_at: epoch seconds, UTC.
        edited_at: epoch seconds of the last edit; None if never edited.
        url: ``https://t.me/...`` if the chat has a public name or is a channel.
        forwarded_from: title of the chat or person it was forwarded from.
        album_id: shared by all messages of one album.
        media_kind: ``photo video document audio voice sticker poll ...``; None for text only.
    """

    chat_id: int
    message_id: int
    channel: str
    text: str
    published_at: int
    username: str | None = None
    links: tuple[str, ...] = ()
    edited_at: int | None = None
    url: str | None = None
    forwarded_from: str | None = None
    album_id: str | None = None
    media_kind: str | None = None

    @property
    def source_key(self) -> str:
        """``tg/<chat id>/<message id>``."""
        return post_key(self.chat_id, self.message_id)

    @property
    def revised_at(self) -> int:
        """Epoch seconds by which revisions of this post are ordered."""
        return self.edited_at or self.published_at

    @property
    def content_hash(self) -> str:
        """Hash of text and links: two revisions with the same hash have the same content."""
        return digest(self.text, canonical_json(list(self.links)))


def require_identity(chat_id: int | None, message_id: int | None, published_at: int | None) -> tuple[int, int, int]:
    """Return the three values that every post must have.

    Raises:
        BadRecord: one of them is missing or out of range.
    """
    if chat_id is None or not 0 < abs(chat_id) < LARGEST_ID:
        raise BadRecord("a message without a chat id")
    if message_id is None or not 0 < message_id < LARGEST_ID:
        raise BadRecord("a message without a message id")
    if published_at is None:
        raise BadRecord("a message without a date")
    return chat_id, message_id, published_at


def channel_chat_id(bare_id: int | None) -> int | None:
    """Return the chat id of a channel or supergroup as the Bot API writes it; an id in that form is unchanged."""
    return bare_id if bare_id is None or bare_id <= 0 else CHANNEL_BASE - bare_id


def public_name(name: str) -> str | None:
    """Return the public name of a chat, without ``@``; None if it is not a valid one."""
    return name if PUBLIC_NAME.fullmatch(name) else None


def post_url(chat_id: int, message_id: int, username: str | None) -> str | None:
    """Return the URL of a post; None for private chats and small groups, which have none."""
    if username:
        return f"https://t.me/{username}/{message_id}"
    return f"https://t.me/c/{CHANNEL_BASE - chat_id}/{message_id}" if chat_id < CHANNEL_BASE else None


def post_url_from_key(source_key: str) -> str | None:
    """Return the URL, for members, of the post of a source key; None for documents, private chats, small groups."""
    prefix, _, rest = source_key.partition("/")
    chat_id, _, message_id = rest.partition("/")
    return post_url(int(chat_id), int(message_id), None) if prefix == "tg" else None


def collect_links(text: str, hrefs: LinkTargets = ()) -> tuple[str, ...]:
    """Return all http(s) URLs of a post, in text order, each once.

    Visible URLs are searched in the text, not taken from a format's entities, so that all formats find the same ones.

    Args:
        text: as the format has it, before normalising: the offsets count its characters.
        hrefs: targets of links that are not visible; those with other schemes are left out.
    """
    visible = locate_links(text) if "://" in text else ()
    found = sorted([*visible, *hrefs], key=lambda link: link[0])
    return distinct(url for _, href in found if (url := normalise(href)).lower().startswith(("https://", "http://")))


def absolute_link(text: str) -> str:
    """Return the absolute URL of a link that is visible in the text: Telegram also links a bare ``t.me/name``."""
    return text if "://" in text else f"http://{text}"
