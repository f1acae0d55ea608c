"""Parses rows of per-channel JSON lists.

A row is ``{message_id, sender_id, text, date, channel, category}``; the text is Markdown as client libraries write it.
The sender of a channel post is the channel itself, so ``sender_id`` is the chat id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatai_assets.domain.json_values import integer, moment, string
from chatai_assets.domain.telegram.markup import strip_markdown
from chatai_assets.domain.telegram.post import Post, channel_chat_id, collect_links, post_url, require_identity
from chatai_assets.domain.text.normalize import normalise


def read_row(raw: Mapping[str, Any]) -> Post:
    """Return the post of one row.

    Raises:
        BadRecord: a row without message id, chat or date.
    """
    chat_id, message_id, published_at = require_identity(
        find_chat_id(raw), integer(raw.get("message_id")), moment(raw.get("date"))
    )
    text, hrefs = strip_markdown(string(raw.get("text")))
    return Post(
        chat_id=chat_id,
        message_id=message_id,
        channel=normalise(string(raw.get("channel"))),
        text=normalise(text),
        published_at=published_at,
        links=collect_links(text, hrefs),
        edited_at=moment(raw.get("edit_date")),
        url=post_url(chat_id, message_id, None),
    )


def find_chat_id(raw: Mapping[str, Any]) -> int | None:
    """Return the chat id of a row; None for a positive sender id, which is a person's: the chat is unknown then."""
    for key in ("chat_id", "channel_id"):
        if (chat_id := integer(raw.get(key))) is not None:
            return channel_chat_id(chat_id)
    sender_id = integer(raw.get("sender_id"))
    return sender_id if sender_id is not None and sender_id < 0 else None
