"""Finds the starts of sentences in Russian and English text.

Rules only, no models: a wrong boundary makes a chunk less tidy, but its offsets stay correct.
"""

from __future__ import annotations

import re

from chatai_assets.domain.text.language import word_set

_END = re.compile(r"[.!?…][\"'»”’)\]]*\s+")
_LINE = re.compile(r"\n\s*")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_OPENING = "\"'«“„(["
_MAX_ABBREVIATION_CHARS = 14
"""Characters examined before a full stop."""

_NEVER_ENDS = word_set(
    # the next word belongs to the same sentence, whatever its case
    "г гг в вв ул д кв стр рис табл им проф акад доц св оз обл р с п пп ст ч гл т тт тов гр см ср напр англ нем лат"
    " просп пер пл корп тел факс т.е т.к т.н т.о т.ч к.т.н д.т.н пос дер респ ген полк кап лейт инж чл зам мл ок"
    " mr mrs ms dr prof st vs no fig eq sec vol pp p art e.g i.e cf al gen col sgt capt lt rep sen gov rev hon approx"
    " dept jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri"
)
_MAY_END = word_set("т.д т.п т.пр н.э др пр etc a.m p.m inc ltd corp jr sr")
"""Abbreviations after which a capital letter starts a sentence."""


def sentence_starts(text: str) -> list[int]:
    """Return the offsets, ascending and without 0, at which a sentence or a separate line starts.

    Each is the offset of a character that is not white space and follows white space. A line break inside a sentence,
    as in text from PDF, is not a start: the next line must not continue in lower case.
    """
    ends = {match.end() for match in _END.finditer(text) if _ends_sentence(text, match)}
    lines = {match.end() for match in _LINE.finditer(text) if not _continues_sentence(text, match.end())}
    return sorted((ends | lines) - {0, len(text)})


def _continues_sentence(text: str, at: int) -> bool:
    return text[at : at + 1].islower()


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    if _continues_sentence(text, match.end()):
        return False
    stop = match.start()
    if text[stop] != "." or text[stop - 1 : stop] == ".":  # an ellipsis ends like ! and ?
        return True
    before = text[max(0, stop - _MAX_ABBREVIATION_CHARS) : stop]
    token = before.rsplit(None, 1)[-1].lstrip(_OPENING) if before.strip() else ""
    return not _is_abbreviation(token) and not _is_list_number(text, token, stop)


def _is_abbreviation(token: str) -> bool:
    lowered = token.lower()
    if lowered in _MAY_END:
        return False
    if lowered in _NEVER_ENDS:
        return True
    return _INITIALS.fullmatch(token) is not None and (len(token) > 1 or token.isupper())


def _is_list_number(text: str, token: str, stop: int) -> bool:
    """Return whether the full stop belongs to the number of a list item: ``"1. First"``, ``"2.3. Second"``."""
    if not token[:1].isdigit() or not token.replace(".", "").isdigit():
        return False
    line = text[max(0, stop - _MAX_ABBREVIATION_CHARS) : stop - len(token)].rpartition("\n")
    return not line[2].strip() and (bool(line[1]) or stop <= _MAX_ABBREVIATION_CHARS)
