"""Detects whether a text is Russian, English or in another language.

It uses letters and function words: cheap enough for every post and reliable for short ones, but not a general detector.
"""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["ru", "en", "other"]

_SAMPLE_CHARS = 4_000
"""Only the first characters of a longer text are examined."""


def word_set(words: str) -> frozenset[str]:
    """Return the words of a string as a set; this keeps long lists of words readable."""
    return frozenset(words.split())


_NOT_PROSE = re.compile(r"https?://\S+|www\.\S+|[@#]\w+|`[^`\n]*`")
_CYRILLIC = re.compile(r"[\u0400-\u052f]+")
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_NOT_RUSSIAN = re.compile(r"[^А-яЁё]")
_NOT_ENGLISH = re.compile(r"[^A-Za-z]")
_FOREIGN_SHARE = 0.02
"""With a larger share of letters outside the alphabet, the text is in another language."""

_ENGLISH = word_set("the of and to in is that for it with was on are be this as by at from have has you not")
_OTHER_LATIN = word_set(
    "der die das und ist nicht ein eine mit auf den von zu für le les des et est une du que dans pour pas el los las y"
    " en una por con del se il di che per gli sono não uma do da os nie jest się na z het een van niet de la un"
)


def detect_language(text: str) -> Language:
    """Return the language that most letters of the text indicate; ``"other"`` for a text without letters."""
    prose = _NOT_PROSE.sub(" ", text[:_SAMPLE_CHARS])
    # If one alphabet has more than half of all characters, the other one and all letters need not be counted.
    cyrillic = _join_matches(_CYRILLIC, prose)
    latin = "" if len(cyrillic) * 2 > len(prose) else _join_matches(_LATIN, prose)
    most = max(len(cyrillic), len(latin))
    if most * 2 <= len(prose) and most * 2 <= len(_join_matches(_LETTERS, prose)):
        return "other"
    if len(cyrillic) >= len(latin):
        return "ru" if _is_native(cyrillic, _NOT_RUSSIAN) else "other"
    return "en" if _is_native(latin, _NOT_ENGLISH) and _reads_as_english(prose) else "other"


def _join_matches(pattern: re.Pattern[str], text: str) -> str:
    return "".join(pattern.findall(text))


def _is_native(letters: str, foreign: re.Pattern[str]) -> bool:
    return len(foreign.findall(letters)) <= len(letters) * _FOREIGN_SHARE


def _reads_as_english(prose: str) -> bool:
    words = prose.lower().split()
    return sum(word in _ENGLISH for word in words) >= sum(word in _OTHER_LATIN for word in words)
