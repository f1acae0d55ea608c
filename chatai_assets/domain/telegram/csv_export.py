"""Parses rows of CSV dumps of channels.

Columns: ``channel_id, channel_name, msg_id, message, cleaned_message, date, msg_link, is_forward,
forward_msg_from_peer_name, media_type, document_type, url``; all but the ids and the date may be absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chatai_assets.domain.json_values import integer, moment, string
from chatai_assets.domain.telegram.post import Post, channel_chat_id, collect_links, post_url, require_identity
from chatai_assets.domain.telegram.telethon import MEDIA_KINDS
from chatai_assets.domain.text.normalize import distinct, normalise

CHAT_COLUMNS = ("channel_id", "chat_id")
ID_COLUMNS = ("msg_id", "message_id")
TEXT_COLUMNS = ("message", "cleaned_message", "text")
PUBLIC_LINK = re.compile(r"https?://t\.me/(?:s/)?([A-Za-z]\w{3,31})/\d+", re.ASCII)
MIME_KINDS = {"video": "video", "audio": "audio", "image": "photo"}


def read_csv_row(raw: Mapping[str, Any]) -> Post:
    """Return the post of one row; values are text, and empty ones may be absent.

    Raises:
        BadRecord: a row without message id, chat or date.
    """
    chat_id, message_id, published_at = require_identity(
        channel_chat_id(integer(first_value(raw, CHAT_COLUMNS))),
        integer(first_value(raw, ID_COLUMNS)),
        moment(raw.get("date")),
    )
    text = first_value(raw, TEXT_COLUMNS)
    link = PUBLIC_LINK.match(string(raw.get("msg_link")))
    username = link[1] if link else None
    return Post(
        chat_id=chat_id,
        message_id=message_id,
        channel=normalise(string(raw.get("channel_name"))),
        text=normalise(text),
        published_at=published_at,
        username=username,
        links=distinct((*collect_links(text), *collect_links(string(raw.get("url"))))),
        edited_at=moment(raw.get("edit_date")),
        url=post_url(chat_id, message_id, username),
        forwarded_from=normalise(first_value(raw, ("forward_msg_from_peer_name", "forward_msg_from_peer_id"))) or None,
        media_kind=find_media_kind(raw),
    )


def first_value(raw: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    """Return the value of the first column that is not empty."""
    return next(filter(None, (string(raw.get(column)) for column in columns)), "")


def find_media_kind(raw: Mapping[str, Any]) -> str | None:
    """Return the kind of media; for a document it depends on the MIME type."""
    kind = MEDIA_KINDS.get(string(raw.get("media_type")))
    mime = string(raw.get("document_type")).partition("/")[0]
    return MIME_KINDS.get(mime, kind) if kind == "document" else kind
