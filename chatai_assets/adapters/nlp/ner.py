"""Names of people, organizations and places: a small network for Russian, capital letters for English.

The network is slovnet's NER on navec's embeddings; their files lie in natasha's wheel, natasha itself is not imported.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import log
from pathlib import Path
from typing import Any

from chatai_assets.adapters.nlp.morphology import forms_of
from chatai_assets.domain.tagging import MASK

KINDS = {"PER": "person", "ORG": "organization", "LOC": "place"}
_PERSON_PARTS, _PLACE_PARTS = frozenset({"Surn"}), frozenset({"Geox"})
_CAPITALISED = re.compile(r"(?<![\w-])[А-ЯЁ][а-яё]{2,}(?![\w-])")
_TRAILING = re.compile(r"[^\w»”\")]+$")
_NER_BATCH = 8
_COMMON_COUNT = 3_000
"""Occurrences in navec's 1.2 billion words of news from which on a word's frequency is remembered: 33,000 words."""


@dataclass(frozen=True, slots=True)
class Span:
    """A name in a text.

    Attributes:
        start: offset of its first character.
        end: offset after its last one.
        kind: ``person organization place other``.
    """

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class _Network:
    """The loaded network.

    Attributes:
        ner: slovnet's ``NER``: texts -> markups with spans.
        common: word in lower case -> natural logarithm of its count in news; rarer words are not in it.
    """

    ner: Any
    common: dict[str, float]


def russian_names(texts: Sequence[str]) -> list[list[Span]]:
    """Return the names in each text, in order.

    The first call in a process loads the network: 0.7 s, 95 MB (200 MB while loading).
    """
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # a batch is padded to its longest
    found: list[list[Span]] = [[] for _ in texts]
    for index, markup in zip(by_length, _network().ner.map(texts[index] for index in by_length), strict=True):
        spans = list(_spans(texts[index], markup.spans))
        found[index] = sorted([*spans, *_missed(texts[index], spans)], key=lambda span: span.start)
    return found


def commonness_of(word: str) -> float:
    """Return the natural logarithm of how often news has a word in lower case; 0 for words that are not common."""
    return _network().common.get(word, 0.0)


def _spans(text: str, spans: Iterable[Any]) -> Iterator[Span]:
    for span in spans:
        start = span.start
        first, _, rest = text[start : span.stop].partition(" ")
        if rest and rest[0].isupper() and _is_plain_word(first) and span.type == "PER":
            start += len(first) + 1
        words = _tidied(text[start : span.stop])
        broken = "\n" in words or MASK in words
        if words[:1].isalnum() and len(words) > 1 and not broken and not _is_plain_word(words):
            yield Span(start, start + len(words), KINDS[span.type])


def _missed(text: str, spans: Sequence[Span]) -> Iterator[Span]:
    """Yield the words that can only be names: the network overlooks some at the beginning of a sentence."""
    taken = {at for span in spans for at in range(span.start, span.end)}
    for match in _CAPITALISED.finditer(text):
        forms = forms_of(match.group().lower())
        if match.start() in taken or not all(form.known for form in forms):
            continue
        for kind, parts in (("person", _PERSON_PARTS), ("place", _PLACE_PARTS)):
            if forms and all(form.parts & parts for form in forms):
                yield Span(match.start(), match.end(), kind)


def _tidied(words: str) -> str:
    """Return a name up to a quotation mark that has no partner in it, without emoji after it."""
    for opening, closing in (('"', '"'), ("«", "»"), ("(", ")")):
        loose = words.count(opening) % 2 if opening == closing else words.count(opening) != words.count(closing)
        if loose:
            words = min(words.partition(opening)[0], words.partition(closing)[0], key=len)
    return _TRAILING.sub("", words)


def _is_plain_word(words: str) -> bool:
    """Whether the network took the first word of a sentence for a name: an adjective or a verb the dictionary knows."""
    if not words[1:].islower():
        return False
    forms = forms_of(words.lower())
    return bool(forms) and not any(form.proper or form.pos == "noun" for form in forms)


@cache
def _network() -> _Network:
    with warnings.catch_warnings():
        # both libraries are old and unmaintained; their deprecation warnings cannot be fixed here
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", SyntaxWarning)
        from navec import Navec  # noqa: PLC0415 - so that their warnings stay in here
        from slovnet import NER  # noqa: PLC0415
    data = _natasha_data()
    navec = Navec.load(data / "emb" / "navec_news_v1_1B_250K_300d_100q.tar")
    ner = NER.load(data / "model" / "slovnet_ner_news_v1.tar", batch_size=_NER_BATCH).navec(navec)
    counts = zip(navec.vocab.words, navec.vocab.counts, strict=True)
    return _Network(ner, {word: log(count) for word, count in counts if count >= _COMMON_COUNT})


def _natasha_data() -> Path:
    spec = find_spec("natasha")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "the wheel of natasha, which carries the models of slovnet and navec, is not installed"
        )
    return Path(spec.origin).parent / "data"
