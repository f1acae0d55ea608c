"""Common spelling in Latin letters for names written in Cyrillic or Latin script.

Cyrillic is romanized roughly like BGN/PCGN (https://en.wikipedia.org/wiki/BGN/PCGN_romanization_of_Russian). Then
differences between romanizations are folded, equally for both scripts: ``"Дмитрий"``, ``"Dmitry"`` and ``"Dmitrii"``
become ``"dmitri"``. Names of all kinds are folded only by differences between romanizations; names of people are folded
more, since they consist of two or more words, which keep them apart.
"""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import combining, normalize

_LATIN = {
    **dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziyklmnoprstufye", strict=True)),
    **dict(zip("іїєґўқәғңөұүһјљњћђ", "iiegukagnouuhjlncd", strict=True)),
    **dict(zip("жхцчшщюяё", ("zh", "kh", "ts", "ch", "sh", "shch", "yu", "ya", "e"), strict=True)),
}
_LETTERS = str.maketrans({**_LATIN, "ь": None, "ъ": None})
_IOTATED = re.compile("[ьъ](?=[еоиэ])")
_ROMAN = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "-": " ", ".": " "}
    | dict.fromkeys(",/\u00a0\u2010\u2011\u2012\u2013\u2014_", " ")
    | dict.fromkeys("'\"’‘ʹʼ`´«»“”„", None)
)
_CYRILLIC = re.compile("[\u0400-\u052f]")
_MIXED = re.compile("[a-z][\u0400-\u052f]|[\u0400-\u052f][a-z]")
_WORD = re.compile(r"\w+")
_LOOK_ALIKE = dict(zip("авекмнорстухіј", "abekmhopctyxij", strict=True))
_AS_LATIN = str.maketrans(_LOOK_ALIKE | {"в": "b", "н": "h"})
_AS_CYRILLIC = str.maketrans({to_latin: cyrillic for cyrillic, to_latin in _LOOK_ALIKE.items()})

_V = "aeiouy"
_NAME_FOLDS = (
    (f"(?:(?<=[{_V}])|\\b)ye", "e"),
    (f"(?<=[{_V}])y|y(?=[aeiou])", "i"),
    (r"(?<=\w)[iyj]*[iy]\b", "i"),
    ("kh", "h"),
    ("shch", "sch"),
    ("x", "ks"),
)
_SILENT_H = (rf"(?<=[{_V}])h(?=[^\Waeiouyh]|\b)", "")
"""As in ``"John"``; applied before ``kh`` becomes ``h``."""
_PERSON_FOLDS = (
    (r"(?<=[^\Waeiouy])y[eo]|(?<=[^\Waeiouy])ie(?!\b)", "e"),
    ("tch", "ch"),
    (r"(?<=\w)j", "i"),
    ("dzh", "j"),
    ("ph", "f"),
    ("th", "t"),
    ("tz", "ts"),
    ("w", "v"),
    ("ck", "k"),
    ("c(?=[ei])", "s"),
    ("c(?!h)", "k"),
    ("oo", "u"),
    ("ee", "i"),
    (r"(\w)\1", r"\1"),
)


def _compile(folds: tuple[tuple[str, str], ...]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in folds)


_NAMES = _compile(_NAME_FOLDS)
_PEOPLE = _compile((_SILENT_H, _NAME_FOLDS[0], *_PERSON_FOLDS[:1], *_NAME_FOLDS[1:], *_PERSON_FOLDS[1:]))


def is_cyrillic(text: str) -> bool:
    """Return whether a text has Cyrillic letters."""
    return not text.isascii() and _CYRILLIC.search(text) is not None


def unify_script(text: str) -> str:
    """Return a lower-case text with look-alike letters of the other script replaced, as in ``"мocква"``.

    A word with letters of both scripts gets the script of most of them, if all others have a look-alike in it.
    """
    if text.isascii() or not _MIXED.search(text):
        return text
    return _WORD.sub(lambda word: _unify_word(word.group()), text)


def _unify_word(word: str) -> str:
    cyrillic = len(_CYRILLIC.findall(word))
    latin = sum(letter.isascii() and letter.isalpha() for letter in word)
    if not cyrillic or not latin:
        return word
    unified = word.translate(_AS_CYRILLIC if cyrillic >= latin else _AS_LATIN)
    return word if _MIXED.search(unified) else unified


def to_latin(text: str) -> str:
    """Return a lower-case text in plain Latin letters with single spaces; other scripts are unchanged."""
    if not text.isascii():
        text = _IOTATED.sub("y", text).translate(_LETTERS)
        text = "".join(letter for letter in normalize("NFKD", text) if not combining(letter))
    return " ".join(text.translate(_ROMAN).split())


@lru_cache(maxsize=1 << 14)
def name_spelling(text: str) -> str:
    """Return the common form of all romanizations of a name: ``"iandeks"`` for ``"Яндекс"`` and ``"Yandex"``.

    Args:
        text: in lower case.
    """
    return _fold(to_latin(text), _NAMES)


@lru_cache(maxsize=1 << 14)
def person_spelling(text: str) -> str:
    """Return the common form of all spellings of a person's name: ``"Фёдор Соловьёв"`` and ``"Fyodor Solovyov"``.

    Coarser than ``name_spelling``: single and double letters, ``w`` and ``v``, ``c`` and ``k``, ``th`` and ``t`` are
    equal.
    """
    return _fold(to_latin(text), _PEOPLE)


def _fold(text: str, folds: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, replacement in folds:
        text = pattern.sub(replacement, text)
    return text
