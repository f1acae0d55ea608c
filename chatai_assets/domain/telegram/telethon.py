"""Parses messages as Telethon writes them (``message.to_dict()``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatai_assets.domain.json_values import array, integer, mapping, moment, string
from chatai_assets.domain.telegram.markup import entity_links
from chatai_assets.domain.telegram.post import (
    NotAPost,
    Post,
    channel_chat_id,
    collect_links,
    post_url,
    require_identity,
)
from chatai_assets.domain.text.normalize import normalise

MEDIA_KINDS = {
    "MessageMediaPhoto": "photo",
    "MessageMediaPoll": "poll",
    "MessageMediaGeo": "location",
    "MessageMediaGeoLive": "location",
    "MessageMediaVenue": "venue",
    "MessageMediaContact": "contact",
    "MessageMediaDice": "dice",
    "MessageMediaGame": "game",
    "MessageMediaInvoice": "invoice",
    "MessageMediaStory": "story",
    "MessageMediaGiveaway": "giveaway",
    "MessageMediaPaidMedia": "paid_media",
    "MessageMediaToDo": "checklist",
    "MessageMediaDocument": "document",
}
# The kind of a document follows from its attributes; a round or silent video also has those of a video.
ATTRIBUTES = {
    "DocumentAttributeSticker": "sticker",
    "DocumentAttributeAnimated": "animation",
    "DocumentAttributeVideo": "video",
    "DocumentAttributeAudio": "audio",
}


def read_telethon_message(raw: Mapping[str, Any]) -> Post:
    """Return the post of one message; Telethon does not include the title of its chat.

    Raises:
        NotAPost: a service message, or another object of Telethon.
        BadRecord: a message without its id, chat or date.
    """
    if raw.get("_", "Message") != "Message" or raw.get("action"):
        raise NotAPost("a service message")
    chat_id, message_id, published_at = require_identity(
        peer_chat_id(raw.get("peer_id")), integer(raw.get("id")), moment(raw.get("date"))
    )
    text = string(raw.get("message"))
    group = integer(raw.get("grouped_id"))
    return Post(
        chat_id=chat_id,
        message_id=message_id,
        channel="",
        text=normalise(text),
        published_at=published_at,
        links=collect_links(text, entity_links(text, array(raw.get("entities")))),
        edited_at=moment(raw.get("edit_date")),
        url=post_url(chat_id, message_id, None),
        forwarded_from=find_forward_origin(mapping(raw.get("fwd_from"))),
        album_id=str(group) if group else None,
        media_kind=find_media_kind(mapping(raw.get("media"))),
    )


def peer_chat_id(value: Any) -> int | None:
    """Return the chat id of a peer as the Bot API writes it; None if it is not a peer."""
    peer = mapping(value)
    if (channel_id := integer(peer.get("channel_id"))) is not None:
        return channel_chat_id(channel_id)
    if (group_id := integer(peer.get("chat_id"))) is not None:
        return -group_id
    return integer(peer.get("user_id"))


def find_forward_origin(forward: Mapping[str, Any]) -> str | None:
    """Return the name of the chat or person a message was forwarded from, or its id if Telethon knows no name."""
    if name := normalise(string(forward.get("from_name"))):
        return name
    origin = peer_chat_id(forward.get("from_id"))
    return None if origin is None else str(origin)


def find_media_kind(media: Mapping[str, Any]) -> str | None:
    """Return the kind of media; None for the preview of a linked page."""
    kind = MEDIA_KINDS.get(string(media.get("_")))
    if kind != "document":
        return kind
    attributes = {string(part.get("_")): part for part in map(mapping, document_attributes(media))}
    found = next((name for key, name in ATTRIBUTES.items() if key in attributes), "document")
    if found == "video" and attributes["DocumentAttributeVideo"].get("round_message"):
        return "video_note"
    return "voice" if found == "audio" and attributes["DocumentAttributeAudio"].get("voice") else found


def document_attributes(media: Mapping[str, Any]) -> list[Any]:
    """Return the attributes of a document."""
    return array(mapping(media.get("document")).get("attributes"))
