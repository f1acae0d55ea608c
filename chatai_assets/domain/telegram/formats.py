"""Parses raw Telegram updates and export records of every format into posts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chatai_assets.domain.telegram.bot_api import read_update
from chatai_assets.domain.telegram.channel_list import read_row
from chatai_assets.domain.telegram.csv_export import read_csv_row
from chatai_assets.domain.telegram.desktop_export import read_desktop_message
from chatai_assets.domain.telegram.post import RECORD_FORMATS, NotAPost, Post, RecordFormat
from chatai_assets.domain.telegram.telethon import read_telethon_message

__all__ = ["RECORD_FORMATS", "NotAPost", "Post", "RecordFormat", "read_post"]

READERS: Mapping[RecordFormat, Callable[[Mapping[str, Any]], Post]] = {
    "bot_api": read_update,
    "desktop": read_desktop_message,
    "telethon": read_telethon_message,
    "channel_list": read_row,
    "csv": read_csv_row,
}


def read_post(raw: Mapping[str, Any], record_format: RecordFormat) -> Post:
    """Return the post in a raw record.

    The same post has the same source key in every format, and the same text and links as far as the format has them.

    Args:
        raw: any JSON object; untrusted.
        record_format: of the record.

    Raises:
        NotAPost: it is something else and correctly skipped.
        BadRecord: it is a post without its id, chat or date.
    """
    return READERS[record_format](raw)
