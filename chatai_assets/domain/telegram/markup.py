"""Telegram's Markdown, as client libraries write it -> plain text and links.

It is written without escapes, so what looks like a mark may be text: a mark without a partner
stays, and so do the names that posts about Python are full of.
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
    (?=[]\[`*_~h])(?:  # what begins none of these is passed over at a third of the cost
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
    """Return the text without its marks, and where its links lead, with their offsets in that text.

    Code keeps its content as it is. Marks: ``**bold** __italic__ ~~struck~~ `code` [words](address)``.
    """
    if not any(mark in markdown for mark in ("**", "__", "~~", "`", "](")):
        return markdown, []
    pieces: list[str] = []
    open_brackets: list[int] = []
    targets: list[tuple[int, str]] = []
    for kind, value in _tokens(markdown):
        if kind == "href" and open_brackets:
            opening = open_brackets.pop()
            pieces[opening] = ""
            targets.append((opening, value))
            continue
        if kind == "bracket" and value == "[":
            open_brackets.append(len(pieces))
        elif kind == "bracket" and open_brackets:
            open_brackets.pop()
        pieces.append(f"]({value})" if kind == "href" else value)
    starts = [0, *accumulate(map(len, pieces))]
    return "".join(pieces), [(starts[piece], href.rstrip("\\")) for piece, href in targets]


def _tokens(markdown: str) -> Iterator[tuple[str, str]]:
    """Yield kind and value of every piece; paired marks are left out."""
    matches = list(TOKEN.finditer(markdown))
    marks = [match for match in matches if match["mark"]]
    counts = Counter(match["mark"] for match in marks)
    alone = {match["mark"]: match.start() for match in marks if counts[match["mark"]] % 2}
    end = 0
    for match in matches:
        if match.start() > end:
            yield "text", markdown[end : match.start()]
        end = match.end()
        kind = match.lastgroup or "text"
        value = match[kind]
        if kind != "mark" or alone.get(value) == match.start():
            yield kind, value
    yield "text", markdown[end:]


BARE = {"url", "MessageEntityUrl"}
BEHIND_WORDS = {"text_link", "MessageEntityTextUrl"}
WIDE = re.compile("[\U00010000-\U0010ffff]")
"""Letters that take two units in UTF-16 and one here."""


def entity_links(text: str, entities: Iterable[Any]) -> list[tuple[int, str]]:
    """Return the links that entities mark, with their offsets in characters of ``text``.

    Args:
        text: the message as it was sent.
        entities: those of the Bot API (``type``) or of Telethon (``_``); what is no entity is passed over.
    """
    links = [entity for entity in map(mapping, entities) if entity_type(entity) in BARE | BEHIND_WORDS]
    return list(_locate_links(text, links)) if links else []


def entity_type(entity: Any) -> str:
    """Return the name by which a format tells its entities apart."""
    return string(entity.get("type")) or string(entity.get("_"))


def _locate_links(text: str, links: list[Any]) -> Iterator[tuple[int, str]]:
    wide = [match.start() + number for number, match in enumerate(WIDE.finditer(text))]
    for entity in links:
        start, length = integer(entity.get("offset")), integer(entity.get("length"))
        if start is None or length is None or start < 0 or length <= 0:
            continue
        first, end = (offset - bisect_left(wide, offset) for offset in (start, start + length))
        if shown := text[first:end]:
            yield first, string(entity.get("url")) if entity_type(entity) in BEHIND_WORDS else absolute_link(shown)
