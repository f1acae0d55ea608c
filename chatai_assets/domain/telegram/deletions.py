"""Parses records of deleted messages into the source keys of the posts.

The Bot API reports deletions in chats of a connected business account
(https://core.telegram.org/bots/api#businessmessagesdeleted), Telegram's own protocol in channels and supergroups
(https://tl.telethon.dev/constructors/update_delete_channel_messages.html). For other chats Telegram reports message ids
without the chat, which do not identify a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.ids import post_key
from chatai_assets.domain.json_values import array, integer, mapping
from chatai_assets.domain.telegram.post import RecordFormat, channel_chat_id, require_identity

BOT_API_DELETION = "deleted_business_messages"
TELETHON_DELETION = "UpdateDeleteChannelMessages"


def deleted_post_keys(raw: Mapping[str, Any], record_format: RecordFormat) -> tuple[str, ...]:
    """Return the source keys of the posts that a record reports as deleted; none for any other record."""
    if record_format == "bot_api" and BOT_API_DELETION in raw:
        deletion = mapping(raw[BOT_API_DELETION])
        return _keys(integer(mapping(deletion.get("chat")).get("id")), deletion.get("message_ids"))
    if record_format == "telethon" and raw.get("_") == TELETHON_DELETION:
        return _keys(channel_chat_id(integer(raw.get("channel_id"))), raw.get("messages"))
    return ()


def _keys(chat_id: int | None, message_ids: Any) -> tuple[str, ...]:
    keys = []
    for message_id in array(message_ids):
        try:
            chat, message, _ = require_identity(chat_id, integer(message_id), 0)
        except BadRecord:
            continue
        keys.append(post_key(chat, message))
    return tuple(keys)
