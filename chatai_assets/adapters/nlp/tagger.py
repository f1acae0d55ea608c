"""Tags without a network: names, hashtags and noun phrases, ranked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from math import log2

from chatai_assets.adapters.nlp.english import STOP_WORDS, english_names, english_phrases
from chatai_assets.adapters.nlp.ner import Span, commonness_of, russian_names
from chatai_assets.adapters.nlp.phrases import Phrase, hashtags, name_phrases
from chatai_assets.adapters.nlp.russian import EMPTY_NOUNS, russian_phrases
from chatai_assets.domain.tagging import MAX_TAGS, check_tags, usable_words, without_addresses
from chatai_assets.domain.text.language import detect_language

READ_CHARS = 4_000
"""The beginning of a text that is read: about 600 words, enough to say what it is about."""

_LEAST_TAGS = 3
_WORDS_PER_TAG = 8
_LEAD_CHARS = 160
"""What stands this early counts more: posts and articles say first what they are about."""
_LEAD_WEIGHT = 1.5
_NAME_WEIGHT = 1.5
_LEAST_NAME_WEIGHT = 0.7
"""A name matters however often news has its words."""
_SOURCES = frozenset(
    {
        ("риа", "новость"),
        ("тасс",),
        ("интерфакс",),
        ("reuters",),
        ("би-би-си",),
        ("afp",),
        ("bbc",),
        ("cnn",),
        ("рейтер",),
    }
    | {("insider", "paper")}
)
"""News agencies: named in every second post, which is hardly ever about them."""
_LEAST_SHARE = 0.3
"""A phrase with less of the best one's score is left out rather than made a tag to fill up."""
_LENGTH_DAMPING = 0.6
"""0 adds up the weights of a phrase's words, 1 averages them."""
_COMMONEST, _RARE = 14.0, 7.0
"""Natural logarithms of a word's count in news between which its weight falls."""


class OfflineTagger:
    """The offline ``Tagger``: every candidate is a stretch of its text."""

    @property
    def model(self) -> str:
        """Name and version; part of the fingerprint of what it answers."""
        return "offline-phrases-1"

    def tag(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return up to eight tags per text, best first; at least one for a text with a usable word."""
        read = [without_addresses(text[:READ_CHARS]) for text in texts]
        russian = [index for index, text in enumerate(read) if detect_language(text) == "ru"]
        names = dict(zip(russian, russian_names([read[index] for index in russian]), strict=True))
        return [_tags(texts[index], read[index], names.get(index)) for index in range(len(texts))]


def _tags(text: str, read: str, russian: Sequence[Span] | None) -> tuple[str, ...]:
    names = english_names(read) if russian is None else russian
    nouns = english_phrases(read, names) if russian is None else russian_phrases(read, names)
    phrases = [phrase for phrase in (*name_phrases(read, names), *hashtags(read), *nouns) if _says_something(phrase)]
    most = min(MAX_TAGS, max(_LEAST_TAGS, len(read.split()) // _WORDS_PER_TAG))
    chosen = [read[phrase.start : phrase.end] for phrase in _best(phrases, most)]
    return check_tags(chosen, text)[:most] or check_tags(_fallback(text), text)[:_LEAST_TAGS]


def _says_something(phrase: Phrase) -> bool:
    if phrase.named:
        return phrase.lemmas not in _SOURCES
    return phrase.lemmas[-1] not in EMPTY_NOUNS and phrase.lemmas[0] not in EMPTY_NOUNS


def _best(phrases: Iterable[Phrase], most: int) -> list[Phrase]:
    """Return the best phrases, without those that repeat a better one."""
    groups: dict[tuple[str, ...], list[Phrase]] = {}
    counts: Counter[str] = Counter()
    for phrase in phrases:
        groups.setdefault(phrase.lemmas, []).append(phrase)
        counts.update(set(phrase.lemmas))
    for lemmas in sorted(groups, key=len):
        if longer := _longer_name(lemmas, groups):
            groups[longer].extend(groups.pop(lemmas))
    ranked = sorted(groups.values(), key=lambda group: _score(group, counts), reverse=True)
    chosen: list[Phrase] = []
    said: set[str] = set()
    least = _LEAST_SHARE * _score(ranked[0], counts) if ranked else 0.0
    for group in ranked:
        if _score(group, counts) < least:
            break
        if not said & set(group[0].lemmas) and len(chosen) < most:
            said |= set(group[0].lemmas)
            full = [phrase for phrase in group if phrase.lemmas == group[0].lemmas]
            chosen.append(next((phrase for phrase in full if phrase.plain), full[0]))
    return chosen


def _longer_name(lemmas: tuple[str, ...], groups: dict[tuple[str, ...], list[Phrase]]) -> tuple[str, ...] | None:
    """Return the longer name that a shorter one is the end of: "Путин" is Vladimir Putin if he is there."""
    for other, group in groups.items():
        if len(other) > len(lemmas) and other[-len(lemmas) :] == lemmas and group[0].named:
            return other
    return None


def _score(group: Sequence[Phrase], counts: Counter[str]) -> float:
    first = group[0]
    named = any(phrase.named for phrase in group)
    weights = [max(_LEAST_NAME_WEIGHT * named, _weight(lemma)) for lemma in first.lemmas]
    often = sum(counts[lemma] for lemma in first.lemmas) / len(weights)
    damping = float(len(weights) ** _LENGTH_DAMPING)
    score = sum(weights) / damping * (1 + 0.5 * log2(often))
    early = _LEAD_WEIGHT if min(phrase.start for phrase in group) < _LEAD_CHARS else 1.0
    return score * early * (_NAME_WEIGHT if named else 1.0)


def _weight(lemma: str) -> float:
    """Return between 0.2 for a word that all news has and 1 for a rare one."""
    common = (commonness_of(lemma) - _RARE) / (_COMMONEST - _RARE)
    return 1 - 0.8 * min(1.0, max(0.0, common))


def _fallback(text: str) -> list[str]:
    """Return the longest of the first words: better than none for a text without a phrase."""
    words = [word for word in islice(usable_words(text), 30) if word.lower() not in STOP_WORDS]
    return sorted(words, key=len, reverse=True) or list(islice(usable_words(text), 1))
