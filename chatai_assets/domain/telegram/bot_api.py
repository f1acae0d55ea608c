"""Parses updates and messages of the Telegram Bot API (https://core.telegram.org/bots/api#message)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.json_values import array, integer, mapping, moment, string
from chatai_assets.domain.telegram.markup import entity_links
from chatai_assets.domain.telegram.post import NotAPost, Post, collect_links, post_url, public_name, require_identity
from chatai_assets.domain.text.normalize import normalise

POST_KINDS = ("message", "edited_message", "channel_post", "edited_channel_post")
# An animation also has ``document``, for old clients, so it must come before it.
MEDIA_KINDS = (
    *("animation", "audio", "photo", "sticker", "story", "video", "video_note", "voice", "document", "paid_media"),
    *("checklist", "contact", "dice", "game", "poll", "venue", "location", "invoice", "giveaway"),
)


def read_update(raw: Mapping[str, Any]) -> Post:
    """Return the post of an update, or of a bare message.

    Raises:
        NotAPost: an update of another kind, a service message, a message that is no longer accessible.
        BadRecord: a message without its id, chat or date.
    """
    message = extract_message(raw)
    if message.get("date") == 0:
        raise NotAPost("a message that is no longer accessible")
    chat = mapping(message.get("chat"))
    chat_id, message_id, published_at = require_identity(
        integer(chat.get("id")), integer(message.get("message_id")), moment(message.get("date"))
    )
    text, entities = extract_text(message)
    media_kind = next((kind for kind in MEDIA_KINDS if message.get(kind)), None)
    if not (text or media_kind):
        raise NotAPost("a service message")
    # Users have user names too, but no public posts.
    username = public_name(string(chat.get("username"))) if chat_id < 0 else None
    return Post(
        chat_id=chat_id,
        message_id=message_id,
        channel=chat_title(chat),
        text=normalise(text),
        published_at=published_at,
        username=username,
        links=collect_links(text, entity_links(text, entities)),
        edited_at=moment(message.get("edit_date")),
        url=post_url(chat_id, message_id, username),
        forwarded_from=find_forward_origin(message),
        album_id=find_album_id(message),
        media_kind=media_kind,
    )


def extract_message(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message of an update, or the record itself if it is a message.

    Raises:
        NotAPost: the update has no message.
        BadRecord: the message is not an object.
    """
    kind = next((kind for kind in POST_KINDS if kind in raw), None)
    if kind is None:
        if "update_id" in raw or not ("message_id" in raw or "chat" in raw):
            raise NotAPost("an update without a message")
        return raw
    if not isinstance(raw[kind], Mapping):
        raise BadRecord("an update whose message is no object")
    return mapping(raw[kind])


def extract_text(message: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the text or the caption of a message, and its entities."""
    if text := string(message.get("text")):
        return text, array(message.get("entities"))
    return string(message.get("caption")), array(message.get("caption_entities"))


def chat_title(chat: Mapping[str, Any]) -> str:
    """Return the title of a chat, or the name of the person or bot of a private chat."""
    names = (string(chat.get("first_name")), string(chat.get("last_name")))
    full_name = " ".join(filter(None, names))
    return normalise(string(chat.get("title")) or full_name or string(chat.get("username")))


def find_forward_origin(message: Mapping[str, Any]) -> str | None:
    """Return the title of the chat or person a message was forwarded from; fields of Bot API 7.0 and of before."""
    origin = mapping(message.get("forward_origin"))
    for holder, keys in (
        (origin, ("chat", "sender_chat", "sender_user")),
        (message, ("forward_from_chat", "forward_from")),
    ):
        titles = (chat_title(mapping(holder[key])) for key in keys if key in holder)
        if title := next(filter(None, titles), ""):
            return title
    hidden = string(origin.get("sender_user_name")) or string(message.get("forward_sender_name"))
    return normalise(hidden) or None


def find_album_id(message: Mapping[str, Any]) -> str | None:
    """Return the id that all messages of an album share; None outside an album."""
    group = message.get("media_group_id")
    return str(group) if isinstance(group, (str, int)) and not isinstance(group, bool) and group else None
