"""Formatting entities of Telegram messages -> targets of links.

Offsets and lengths count UTF-16 code units (https://core.telegram.org/api/entities).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any

from chatai_assets.domain.json_values import integer, mapping, string
from chatai_assets.domain.telegram.post import shown_link

BARE = {"url", "MessageEntityUrl"}
BEHIND_WORDS = {"text_link", "MessageEntityTextUrl"}
WIDE = re.compile("[\U00010000-\U0010ffff]")
"""Letters that take two units in UTF-16 and one here."""


def hrefs_of(text: str, entities: Iterable[Any]) -> list[tuple[int, str]]:
    """Return the links that entities mark, with their offsets in characters of ``text``.

    Args:
        text: the message as it was sent.
        entities: those of the Bot API (``type``) or of Telethon (``_``); what is no entity is passed over.
    """
    links = [entity for entity in map(mapping, entities) if kind_of(entity) in BARE | BEHIND_WORDS]
    return list(_located(text, links)) if links else []


def kind_of(entity: Any) -> str:
    """Return the name by which a format tells its entities apart."""
    return string(entity.get("type")) or string(entity.get("_"))


def _located(text: str, links: list[Any]) -> Iterator[tuple[int, str]]:
    wide = [match.start() + number for number, match in enumerate(WIDE.finditer(text))]
    for entity in links:
        start, length = integer(entity.get("offset")), integer(entity.get("length"))
        if start is None or length is None or start < 0 or length <= 0:
            continue
        first, end = (offset - bisect_left(wide, offset) for offset in (start, start + length))
        if shown := text[first:end]:
            yield first, string(entity.get("url")) if kind_of(entity) in BEHIND_WORDS else shown_link(shown)
