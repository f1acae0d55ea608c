"""Answers of an extractor -> entities and relations that occur in the text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chatai_assets.domain.text.spelling import find_spelling, plain_form

KINDS = frozenset({"person", "organization", "place", "other"})
MENTIONED_WITH = "mentioned_with"
"""The predicate of mere co-occurrence; it has no direction."""

MAX_ENTITIES = 50
MAX_RELATIONS = 100
MAX_NAME_CHARS = 120
MAX_PREDICATE_CHARS = 60


@dataclass(frozen=True, slots=True)
class Entity:
    """A person, place or thing named in a chunk.

    Attributes:
        name: the words as written in the chunk.
        form: the name's normal form, equal for all spellings that are known to mean the same; part of the node key.
        kind: ``person organization place other``.
    """

    name: str
    form: str
    kind: str


@dataclass(frozen=True, slots=True)
class Relation:
    """Two entities of one chunk that have to do with each other.

    Attributes:
        subject: ``form`` of the first entity.
        object: ``form`` of the second entity.
        predicate: what joins them; ``"mentioned_with"`` for mere co-occurrence.
        weak: True where it was not stated but only guessed from closeness.
    """

    subject: str
    object: str
    predicate: str
    weak: bool


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one chunk says."""

    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()


def check_extraction(extraction: Extraction, chunk_text: str) -> Extraction:
    """Return what of an extractor's answer the chunk bears out.

    Entities whose name does not occur in the chunk go, as do relations with an end that is no entity of the answer.
    Names take the chunk's spelling, forms are plain, each form and each relation is there once, in the answer's order;
    at most ``MAX_ENTITIES`` and ``MAX_RELATIONS`` of them.
    """
    entities: dict[str, Entity] = {}
    for entity in extraction.entities:
        checked = _checked_entity(entity, chunk_text)
        if checked is not None:
            entities.setdefault(checked.form, checked)
        if len(entities) == MAX_ENTITIES:
            break
    relations = _checked_relations(extraction.relations, frozenset(entities))
    return Extraction(tuple(entities.values()), relations)


def co_occurrence(first: str, second: str) -> Relation:
    """Return the weak relation of two forms that stand in one sentence, the same for either order."""
    low, high = sorted((first, second))
    return Relation(low, high, MENTIONED_WITH, weak=True)


def _checked_entity(entity: Entity, chunk_text: str) -> Entity | None:
    name = find_spelling(chunk_text, entity.name)
    form = plain_form(entity.form) or plain_form(name or "")
    if name is None or not form or len(name) > MAX_NAME_CHARS or len(form) > MAX_NAME_CHARS:
        return None
    return Entity(name, form, entity.kind if entity.kind in KINDS else "other")


def _checked_relations(relations: Iterable[Relation], forms: frozenset[str]) -> tuple[Relation, ...]:
    kept: dict[tuple[str, str, str], Relation] = {}
    for relation in relations:
        checked = _checked_relation(relation)
        if checked.subject == checked.object or not {checked.subject, checked.object} <= forms or not checked.predicate:
            continue
        kept.setdefault((checked.subject, checked.predicate, checked.object), checked)
        if len(kept) == MAX_RELATIONS:
            break
    return tuple(kept.values())


def _checked_relation(relation: Relation) -> Relation:
    subject, object_ = plain_form(relation.subject), plain_form(relation.object)
    if relation.predicate == MENTIONED_WITH:
        return co_occurrence(subject, object_)
    predicate = " ".join(relation.predicate.split())[:MAX_PREDICATE_CHARS]
    return replace(relation, subject=subject, object=object_, predicate=predicate)
