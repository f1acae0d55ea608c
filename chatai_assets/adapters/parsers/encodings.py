"""Detects the encoding of a text file from its bytes.

Order: byte order marks, UTF-16 without one, UTF-8, then the single-byte Russian encodings by how Russian the decoded
text looks. Libraries that guess misread Russian texts of a few words, so they come last, for other languages.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from charset_normalizer import from_bytes

BLOCK_BYTES = 2**20
EVIDENCE_BYTES = 2**16
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
RUSSIAN_ENCODINGS = ("cp1251", "koi8-r", "cp866", "mac-cyrillic")
READS_AS_RUSSIAN = -1.5
"""Mean score a letter above which a text is Russian: Russian words score between -1 and 1, other languages below -2."""

# Occurrences per 1,000 letters, Russian National Corpus.
RUSSIAN_LETTERS = {
    "о": 109.7,
    "е": 84.5,
    "а": 80.1,
    "и": 73.5,
    "н": 67.0,
    "т": 62.6,
    "с": 54.7,
    "р": 47.3,
    "в": 45.4,
    "л": 44.0,
    "к": 34.9,
    "м": 32.1,
    "д": 29.8,
    "п": 28.1,
    "у": 26.2,
    "я": 20.1,
    "ы": 19.0,
    "ь": 17.4,
    "г": 17.0,
    "з": 16.5,
    "б": 15.9,
    "ч": 14.4,
    "й": 12.1,
    "х": 9.7,
    "ж": 9.4,
    "ш": 7.3,
    "ю": 6.4,
    "ц": 4.8,
    "щ": 3.6,
    "э": 3.2,
    "ф": 2.6,
    "ъ": 0.4,
    "ё": 4.0,
}
# The 240 most frequent letter pairs by first letter; they cover nine of ten pairs in Russian Telegram channels
# (2.1 million pairs counted).
FOLLOWERS = {
    "а": "бвгдежзийклмнпрстхцчюя",
    "б": "аеилорущы",
    "в": "аеилнорсуы",
    "г": "аеилор",
    "д": "аеилнору",
    "е": "вгдезйклмнрстхч",
    "ж": "деин",
    "з": "авдинор",
    "и": "абвдезийклмнорстхцчюя",
    "й": "с",
    "к": "авеилорту",
    "л": "аеиоуьюя",
    "м": "аеимоуы",
    "н": "адеикностуыья",
    "о": "бвгдежзийклмнопрстч",
    "п": "аеилору",
    "р": "аеиностуыя",
    "с": "авеиклнопстуья",
    "т": "авеикнорсуыь",
    "у": "бджклпрстчю",
    "х": "ао",
    "ц": "еи",
    "ч": "аеинт",
    "ш": "еи",
    "щ": "еи",
    "ы": "вейлмх",
    "ь": "нсшю",
    "э": "т",
    "ю": "т",
    "я": "вт",
}
COMMON_PAIRS = frozenset(first + second for first, seconds in FOLLOWERS.items() for second in seconds)
LETTER_SCORES = {letter: math.log(share * len(RUSSIAN_LETTERS) / 1000) for letter, share in RUSSIAN_LETTERS.items()}
RARE_PAIR = -1.5
FOREIGN_LETTER = -3.0
TYPOGRAPHY = frozenset("«»„“”‘’–—…№§°©®™•·\u00a0±")
TYPOGRAPHIC_CHAR = -1.5
OTHER_CHAR = -6.0
CAPITALS = -1.0
MIXED_CASE = -4.0
MIXED_SCRIPT = -4.0
WORDS = re.compile(r"[^\W\d_]+")
HIGH_BYTES = re.compile(rb"[\x80-\xff]")
CONTEXT_BYTES = 40
SURE_GUESS_BYTES = 16
TWO_BYTE_CHARACTERS = re.compile("[\u0080-\u07ff]")


@dataclass(frozen=True, slots=True)
class Codec:
    """How to decode a file.

    Attributes:
        name: a Python codec.
        errors: ``"strict"`` if the whole file is known to be valid, else ``"replace"``.
    """

    name: str
    errors: str = "replace"


def detect_codec(path: Path) -> Codec:
    """Return how to decode a text file of any size, in one pass and constant memory."""
    with path.open("rb") as stream:
        head = stream.read(EVIDENCE_BYTES)
    marked = detect_codec_by_mark(head)
    if marked is not None:
        return marked
    utf8 = codecs.getincrementaldecoder("utf-8")()
    if all(can_decode(utf8, block) for block in read_blocks(path)) and can_decode(utf8, b"", final=True):
        return Codec("utf-8", "strict")
    return guess_codec(collect_evidence(read_blocks(path)))


def detect_codec_of_bytes(data: bytes) -> Codec:
    """Return how to decode ``data``, a whole text or its beginning."""
    marked = detect_codec_by_mark(data[:EVIDENCE_BYTES])
    if marked is not None:
        return marked
    if can_decode(codecs.getincrementaldecoder("utf-8")(), data):
        return Codec("utf-8")
    return guess_codec(collect_evidence([data]))


def detect_codec_by_mark(head: bytes) -> Codec | None:
    """Return the codec that a byte order mark or the high bytes of UTF-16 indicate; None without either."""
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return Codec(name)
    even, odd = head[0::2], head[1::2]
    for high, low, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        # Latin letters have the high byte 0, Cyrillic ones 4; neither occurs in 8-bit text.
        if len(head) >= 4 and byte_share(b"\x00\x04", high) > 0.7 and byte_share(b"\x00\x04", low) < 0.3:
            return Codec(name)
    return None


def byte_share(members: bytes, data: bytes) -> float:
    """Return the share of ``data`` that consists of the bytes in ``members``, from 0 to 1."""
    return sum(data.count(member) for member in members) / max(1, len(data))


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yield a file in blocks of one MiB."""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def can_decode(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    """Return whether a strict decoder accepts the next block."""
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def collect_evidence(blocks: Iterable[bytes]) -> bytes:
    """Return the parts of a file that show its encoding: lines from shortly before their first byte above 127."""
    evidence = bytearray()
    for block in blocks:
        for line in () if block.isascii() else block.splitlines(keepends=True):
            high = HIGH_BYTES.search(line)
            if high:
                evidence += line[max(0, high.start() - CONTEXT_BYTES) :][: EVIDENCE_BYTES - len(evidence)]
            if len(evidence) >= EVIDENCE_BYTES:
                return bytes(evidence)
    return bytes(evidence)


def guess_codec(evidence: bytes) -> Codec:
    """Return the codec of bytes that are not valid UTF-8.

    Args:
        evidence: as ``collect_evidence`` returns it.
    """
    mixed = evidence.decode("utf-8", "replace")
    if len(TWO_BYTE_CHARACTERS.findall(mixed)) >= max(1, mixed.count("\ufffd")):
        return Codec("utf-8")
    scores = {name: russian_score(evidence.decode(name, "replace")) for name in RUSSIAN_ENCODINGS}
    best = max(scores, key=lambda name: scores[name])
    return Codec(best) if scores[best] > READS_AS_RUSSIAN else Codec(guess_foreign_encoding(evidence))


def guess_foreign_encoding(evidence: bytes) -> str:
    """Return the encoding of a text that is not Russian; Western for a short one, where guesses fail."""
    guess = from_bytes(evidence).best() if len(HIGH_BYTES.findall(evidence)) >= SURE_GUESS_BYTES else None
    if guess is None or guess.encoding.replace("_", "-") in RUSSIAN_ENCODINGS:
        return "cp1252"
    return guess.encoding


def russian_score(text: str) -> float:
    """Return how Russian a text looks, per non-ASCII character: around 0 if it is, below -2 in a wrong encoding."""
    letters = others = 0
    score = 0.0
    for word in WORDS.findall(text):
        if not word.isascii():
            letters += len(word)
            score += word_score(word)
    for char in text:
        if char > "\x7f" and not char.isalpha():
            others += 1
            score += TYPOGRAPHIC_CHAR if char in TYPOGRAPHY else OTHER_CHAR
    return score / max(1, letters + others)


def word_score(word: str) -> float:
    """Return the score of one word: high for frequent letters and pairs, low for mixed scripts and inner capitals."""
    small = word.lower()
    score = sum(LETTER_SCORES.get(letter, FOREIGN_LETTER) for letter in small)
    score += RARE_PAIR * sum(first + second not in COMMON_PAIRS for first, second in pairwise(small))
    if any(letter < "\x80" for letter in word):
        score += MIXED_SCRIPT
    if len(word) > 1 and word.isupper():
        return score + CAPITALS
    return score + MIXED_CASE * sum(letter.isupper() for letter in word[1:])


def open_text(path: Path) -> TextIO:
    """Open a text file of any encoding for reading, without translating line ends."""
    codec = detect_codec(path)
    return path.open(encoding=codec.name, errors=codec.errors, newline="")
