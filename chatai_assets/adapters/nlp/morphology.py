"""What kind of word a Russian word is: part of speech, normal form, agreement (pymorphy3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import pymorphy3

REMEMBERED_WORDS = 20_000
"""Readings kept per process, about 10 MB: the words that make up most of any text."""

_LONGEST_WORD = 40
"""Longer words are no words; analysing them takes time that grows with their length."""

_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_UNLIKELY = 0.05
_NAME_GRAMMEMES = frozenset({"Name", "Surn", "Patr", "Geox", "Orgn", "Trad"})


@dataclass(frozen=True, slots=True)
class Form:
    """One way to read a word.

    Attributes:
        pos: ``noun adjective other``.
        lemma: the normal form, ``ё`` kept.
        case: OpenCorpora's name of it, ``nomn gent ...``; None where the word has none.
        agreement: number, and gender in the singular: what an adjective shares with its noun.
        parts: those of ``Name Surn Patr Geox Orgn Trad`` that it can be.
        known: whether the dictionary has the word, or its reading is guessed from its ending.
    """

    pos: str
    lemma: str
    case: str | None
    agreement: str
    parts: frozenset[str]
    known: bool = False

    @property
    def proper(self) -> bool:
        """Whether the dictionary knows it as a name."""
        return bool(self.parts)


@lru_cache(REMEMBERED_WORDS)
def forms_of(word: str) -> tuple[Form, ...]:
    """Return the likely readings of a word in lower case, the likeliest first; none for a word that is not Russian.

    The first call in a process loads the dictionary: 0.1 s, 25 MB.
    """
    if len(word) > _LONGEST_WORD or _CYRILLIC.search(word) is None:
        return ()
    parses = _analyzer().parse(word)
    return tuple(_form(parse) for parse in parses if parse.score >= _UNLIKELY) or (_form(parses[0]),)


def lemma_of(word: str) -> str:
    """Return the likeliest normal form of a word in lower case; the word itself if it is not Russian."""
    forms = forms_of(word)
    return forms[0].lemma if forms else word


def _form(parse: Any) -> Form:
    tag = parse.tag
    gender = tag.gender if tag.number == "sing" else None
    parts = _NAME_GRAMMEMES & tag.grammemes
    return Form(_pos(tag), parse.normal_form, tag.case, f"{tag.number} {gender}", parts, bool(parse.is_known))


def _pos(tag: Any) -> str:
    if tag.POS == "NOUN":
        return "noun"
    describes = tag.POS in {"ADJF", "PRTF"} and not {"Apro", "Anum"} & tag.grammemes
    return "adjective" if describes else "other"


@cache
def _analyzer() -> pymorphy3.MorphAnalyzer:
    return pymorphy3.MorphAnalyzer()
