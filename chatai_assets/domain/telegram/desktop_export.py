"""Parses messages of Telegram Desktop's ``result.json``.

A message does not name its chat: ``raw["chat"]`` holds the fields above the list of messages (``id``, ``name``,
``type``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatai_assets.domain.json_values import array, integer, mapping, moment, string
from chatai_assets.domain.telegram.post import (
    NotAPost,
    Post,
    absolute_link,
    channel_chat_id,
    collect_links,
    post_url,
    require_identity,
)
from chatai_assets.domain.text.normalize import normalise

CHAT = "chat"
CHANNELS = {"public_channel", "private_channel", "public_supergroup", "private_supergroup"}
MEDIA_TYPES = {
    "sticker": "sticker",
    "video_message": "video_note",
    "voice_message": "voice",
    "animation": "animation",
    "video_file": "video",
    "audio_file": "audio",
}
MEDIA_KEYS = {
    "photo": "photo",
    "poll": "poll",
    "todo_list": "checklist",
    "contact_information": "contact",
    "place_name": "venue",
    "location_information": "location",
    "game_title": "game",
    "invoice_information": "invoice",
    "giveaway_information": "giveaway",
    "dice": "dice",
    "file": "document",
}


def read_desktop_message(raw: Mapping[str, Any]) -> Post:
    """Return the post of one message of an export.

    Raises:
        NotAPost: a service message.
        BadRecord: a message without its id, chat or date.
    """
    if raw.get("type") != "message":
        raise NotAPost("a service message")
    chat = mapping(raw.get(CHAT))
    chat_id, message_id, published_at = require_identity(
        bot_api_chat_id(chat), integer(raw.get("id")), moment(raw.get("date_unixtime")) or moment(raw.get("date"))
    )
    text, hrefs = extract_text(raw)
    return Post(
        chat_id=chat_id,
        message_id=message_id,
        channel=normalise(string(chat.get("name"))),
        text=normalise(text),
        published_at=published_at,
        links=collect_links(text, hrefs),
        edited_at=moment(raw.get("edited_unixtime")) or moment(raw.get("edited")),
        url=post_url(chat_id, message_id, None),
        forwarded_from=normalise(string(raw.get("forwarded_from"))) or None,
        media_kind=find_media_kind(raw),
    )


def bot_api_chat_id(chat: Mapping[str, Any]) -> int | None:
    """Return the chat id as the Bot API writes it; the export writes all ids without the prefix."""
    chat_id = integer(chat.get("id"))
    if string(chat.get("type")) in CHANNELS:
        return channel_chat_id(chat_id)
    # Ids of small groups are negative in the Bot API; an id that is negative already stays.
    return -abs(chat_id) if chat_id is not None and chat.get("type") == "private_group" else chat_id


def extract_text(raw: Mapping[str, Any]) -> tuple[str, list[tuple[int, str]]]:
    """Return the text of a message, and its links with their offsets.

    ``text_entities`` cover the whole text; older exports have only ``text``: a string, or a list with entities.
    """
    parts = array(raw.get("text_entities")) or array(raw.get("text")) or [string(raw.get("text"))]
    text, hrefs, offset = [], [], 0
    for part in parts:
        words = part if isinstance(part, str) else string(mapping(part).get("text"))
        if href := link_target(mapping(part), words):
            hrefs.append((offset, href))
        text.append(words)
        offset += len(words)
    return "".join(text), hrefs


def link_target(entity: Mapping[str, Any], words: str) -> str:
    """Return the target of a text entity; empty if it is not a link."""
    if entity.get("type") == "text_link":
        return string(entity.get("href"))
    return absolute_link(words) if entity.get("type") == "link" else ""


def find_media_kind(raw: Mapping[str, Any]) -> str | None:
    """Return the kind of a message's media, whether or not the export includes it."""
    declared = MEDIA_TYPES.get(string(raw.get("media_type")))
    return declared or next((kind for key, kind in MEDIA_KEYS.items() if raw.get(key)), None)
