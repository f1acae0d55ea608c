"""Entities and relations without a network: names, and which of them stand in one sentence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, groupby

from chatai_assets.adapters.nlp.english import english_names
from chatai_assets.adapters.nlp.ner import Span, russian_names
from chatai_assets.adapters.nlp.russian import name_form
from chatai_assets.domain.extraction import Entity, Extraction, Relation, check_extraction, co_occurrence
from chatai_assets.domain.tagging import without_addresses
from chatai_assets.domain.text.language import detect_language
from chatai_assets.domain.text.sentences import sentence_starts
from chatai_assets.domain.text.spelling import plain_form

READ_CHARS = 20_000
"""The beginning of a chunk that is read; chunks of prose are far shorter."""

MAX_PER_SENTENCE = 5
"""Entities of one sentence that are related with each other: a list of fifty names says little about each pair."""

MAX_RELATIONS = 30


class OfflineExtractor:
    """The offline ``Extractor``; all its relations are weak."""

    @property
    def model(self) -> str:
        """Name and version; part of the fingerprint of what it answers."""
        return "offline-names-2"

    def extract(self, chunks: Sequence[str]) -> list[Extraction]:
        """Return the names of each chunk and which stand in one sentence."""
        read = [without_addresses(chunk[:READ_CHARS]) for chunk in chunks]
        russian = [index for index, text in enumerate(read) if detect_language(text) == "ru"]
        names = dict(zip(russian, russian_names([read[index] for index in russian]), strict=True))
        return [_russian(text, names[index]) if index in names else _english(text) for index, text in enumerate(read)]


def _russian(text: str, names: Sequence[Span]) -> Extraction:
    return _extraction(text, names, [name_form(text[name.start : name.end], name.kind) for name in names])


def _english(text: str) -> Extraction:
    names = english_names(text)
    return _extraction(text, names, [plain_form(text[name.start : name.end]) for name in names])


def _extraction(text: str, names: Sequence[Span], forms: Sequence[str]) -> Extraction:
    full = _full_names(names, forms)
    entities: dict[str, Entity] = {}
    for name, form in sorted(zip(names, forms, strict=True), key=lambda pair: pair[1] in full):
        known = full.get(form, form)
        if known:
            entities.setdefault(known, Entity(text[name.start : name.end], known, name.kind))
    relations = tuple(_relations(text, names, [full.get(form, form) for form in forms]))
    return check_extraction(Extraction(tuple(entities.values()), relations), text)


def _full_names(names: Sequence[Span], forms: Sequence[str]) -> Mapping[str, str]:
    """Return surname -> full name, where the chunk gives exactly one person of that surname a first name."""
    people = {form for name, form in zip(names, forms, strict=True) if name.kind in {"person", "other"}}
    by_surname: dict[str, set[str]] = {}
    for form in people:
        if " " in form:
            by_surname.setdefault(form.rsplit(" ", 1)[1], set()).add(form)
    return {surname: min(full) for surname, full in by_surname.items() if len(full) == 1 and surname in people}


def _relations(text: str, names: Sequence[Span], forms: Sequence[str]) -> Iterator[Relation]:
    """Yield, each once, the weak relations of the names of each sentence, at most ``MAX_RELATIONS``."""
    starts = sentence_starts(text)
    seen: set[Relation] = set()
    placed = zip((bisect_right(starts, name.start) for name in names), forms, strict=True)
    for _, group in groupby(placed, key=lambda pair: pair[0]):
        distinct = list(dict.fromkeys(form for _, form in group if form))[:MAX_PER_SENTENCE]
        for first, second in combinations(distinct, 2):
            relation = co_occurrence(first, second)
            if relation not in seen and len(seen) < MAX_RELATIONS:
                seen.add(relation)
                yield relation
