"""Phrases that could be tags: names, noun phrases, hashtags, each a stretch of its text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatai_assets.adapters.nlp.morphology import lemma_of
from chatai_assets.adapters.nlp.ner import Span

_TOKEN = re.compile(r"[^\W\d_](?:[^\W_]|[-\u2010\u2011'’.](?=[^\W_]))*")
_HASHTAG = re.compile(r"(?<!\w)#([^\W\d_]\w+)")
_JOINING = frozenset(" \u00a0")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stretch of a text that could be a tag.

    Attributes:
        start: offset of its first character.
        end: offset after its last one.
        lemmas: normal forms of its words: what makes two phrases the same.
        named: whether it is a name or the author's own hashtag.
        plain: whether it stands in its normal case, as a tag should.
    """

    start: int
    end: int
    lemmas: tuple[str, ...]
    named: bool = False
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Token:
    """A word and where it stands; ``word`` is in lower case."""

    start: int
    end: int
    word: str


def tokens_of(text: str) -> list[Token]:
    """Return the words of a text that begin with a letter; hyphens, apostrophes and dots may stand within."""
    return [Token(match.start(), match.end(), match.group().lower()) for match in _TOKEN.finditer(text)]


def runs(text: str, names: Sequence[Span]) -> Iterator[list[Token]]:
    """Yield the stretches of words with one space between two, which no name or punctuation interrupts."""
    run: list[Token] = []
    remaining = iter(sorted(names, key=lambda name: name.start))
    name = next(remaining, None)
    for token in tokens_of(text):
        while name is not None and name.end <= token.start:
            run, done, name = [], run, next(remaining, None)
            yield done
        if name is not None and token.end > name.start:
            continue
        if run and text[run[-1].end : token.start] not in _JOINING:
            yield run
            run = []
        run.append(token)
    yield run


def lemmas_of(text: str) -> tuple[str, ...]:
    """Return the normal forms of the words of a phrase."""
    return tuple(lemma_of(token.word) for token in tokens_of(text))


def hashtags(text: str) -> Iterator[Phrase]:
    """Yield the words that the author marked, without ``#``."""
    for match in _HASHTAG.finditer(text):
        yield Phrase(match.start(1), match.end(1), lemmas_of(match.group(1).replace("_", " ")), named=True)


def name_phrases(text: str, names: Sequence[Span]) -> Iterator[Phrase]:
    """Yield the names of a text as phrases."""
    for name in names:
        words = text[name.start : name.end]
        if lemmas := lemmas_of(words):
            plain = all(token.word == lemma for token, lemma in zip(tokens_of(words), lemmas, strict=True))
            yield Phrase(name.start, name.end, lemmas, named=True, plain=plain)
