"""Answers of an extractor -> entities and relations that occur in the text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entity:
    """Somebody or something named in a chunk.

    Attributes:
        name: the words as they stand in the chunk.
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
