"""Converts Telegram's Markdown and message entities to plain text and links.

Client libraries write Markdown without escapes, so what looks like a mark may be text: a mark without a partner stays,
and so do the dunder names that posts about Python contain.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from chatai_assets.domain.json_values import integer, mapping, string
from chatai_assets.domain.telegram.post import absolute_link

PYTHON_NAMES = (
    "init|new|del|repr|str|bytes|format|hash|bool|dict|dir|doc|name|main|file|all|slots|future|class|module|mro|bases|"
    "call|len|iter|next|aiter|anext|await|enter|exit|aenter|aexit|contains|reversed|index|missing|set_name|init_subclass|"
    "[gs]etitem|delitem|[gs]et|delete|[gs]etattr|delattr|getattribute|[gs]etstate|reduce|copy|deepcopy|annotations|"
    "eq|ne|lt|le|gt|ge|r?add|r?sub|r?mul|truediv|floordiv|mod|pow|and|or|xor|neg|pos|abs|int|float|complex|import|version"
)
TOKEN = re.compile(
    rf"""
    (?=[]\[`*_~h])(?:  # skipping other characters first takes a third of the time
      ```(?P<pre>[\s\S]+?)```
    | `(?P<code>[^`\n]+)`
    | \]\((?P<href>(?:https?://|tg://|ton://|mailto:|tel:)(?:[^()\s]|\([^()\s]*\))*+)\)
    | (?P<text>https?://(?:(?!\*\*|~~|__|\]\()[^\s()\[\]`]|__(?=[A-Za-z0-9])|~~(?=[A-Za-z0-9&]))++
        | __(?:{PYTHON_NAMES})__ | \*\*kwargs\b(?!\*\*))
    | (?P<mark>\*\*|__|~~)
    | (?P<bracket>[\[\]])
    )
    """,
    re.VERBOSE | re.ASCII,
)


def strip_markdown(markdown: str) -> tuple[str, list[tuple[int, str]]]:
    """Return the text without marks, and the targets of its links with their offsets in that text.

    The content of code is unchanged. Marks: ``**bold** __italic__ ~~struck~~ `code` [words](address)``.
    """
    if not any(mark in markdown for mark in ("**", "__", "~~", "`", "](")):
        return markdown, []
    parts: list[str] = []
    open_brackets: list[int] = []
    targets: list[tuple[int, str]] = []
    for kind, value in _tokens(markdown):
        if kind == "href" and open_brackets:
            opening = open_brackets.pop()
            parts[opening] = ""
            targets.append((opening, value))
            continue
        if kind == "bracket" and value == "[":
            open_brackets.append(len(parts))
        elif kind == "bracket" and open_brackets:
            open_brackets.pop()
        parts.append(f"]({value})" if kind == "href" else value)
    starts = [0, *accumulate(map(len, parts))]
    return "".join(parts), [(starts[piece], href.rstrip("\\")) for piece, href in targets]


def _tokens(markdown: str) -> Iterator[tuple[str, str]]:
    """Yield kind and value of every token; paired marks are left out."""
    matches = list(TOKEN.finditer(markdown))
    marks = [match for match in matches if match["mark"]]
    counts = Counter(match["mark"] for match in marks)
    unpaired = {match["mark"]: match.start() for match in marks if counts[match["mark"]] % 2}
    end = 0
    for match in matches:
        if match.start() > end:
            yield "text", markdown[end : match.start()]
        end = match.end()
        kind = match.lastgroup or "text"
        value = match[kind]
        if kind != "mark" or unpaired.get(value) == match.start():
            yield kind, value
    yield "text", markdown[end:]


VISIBLE_LINKS = {"url", "MessageEntityUrl"}
TEXT_LINKS = {"text_link", "MessageEntityTextUrl"}
WIDE = re.compile("[\U00010000-\U0010ffff]")
"""Characters of two UTF-16 code units."""


def entity_links(text: str, entities: Iterable[Any]) -> list[tuple[int, str]]:
    """Return the links of entities, with their offsets in characters of ``text``.

    Args:
        text: the message as it was sent.
        entities: of the Bot API (``type``) or of Telethon (``_``); anything else is skipped.
    """
    links = [entity for entity in map(mapping, entities) if entity_type(entity) in VISIBLE_LINKS | TEXT_LINKS]
    return list(_locate_links(text, links)) if links else []


def entity_type(entity: Any) -> str:
    """Return the type of an entity in either format."""
    return string(entity.get("type")) or string(entity.get("_"))


def _locate_links(text: str, links: list[Any]) -> Iterator[tuple[int, str]]:
    wide = [match.start() + number for number, match in enumerate(WIDE.finditer(text))]
    for entity in links:
        start, length = integer(entity.get("offset")), integer(entity.get("length"))
        if start is None or length is None or start < 0 or length <= 0:
            continue
        first, end = (offset - bisect_left(wide, offset) for offset in (start, start + length))
        if shown := text[first:end]:
            yield first, string(entity.get("url")) if entity_type(entity) in TEXT_LINKS else absolute_link(shown)
