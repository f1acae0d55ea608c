"""What one post or document says to the knowledge graph: nodes, edges and their ids.

Ids are parts joined by ``|``, the tenant first. What several sources share (tags, entities, channels) is made from its
id alone wherever possible, so that the graph does not depend on the order in which sources are processed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from chatai_assets.domain.entities.resolution import EntityKey, Overrides, display_name, resolve_with_overrides
from chatai_assets.domain.extraction import MENTIONED_WITH, Extraction
from chatai_assets.domain.ids import ItemKey, digest, stream_of

MAX_PART_CHARACTERS = 160
ESCAPES = str.maketrans({"%": "%25", "|": "%7C", "~": "%7E"})
ESCAPED = re.compile("[%|~]")
CACHE_SIZE = 1 << 14
"""Cached nodes of tags and entities: three of four were named by another item before."""
LINE = "\n"
"""Separates the forms of a mention, and their reasons; no form contains it."""


class Node(NamedTuple):
    """A node; ``id`` starts with the tenant. A tuple, as an edge is: a hundred thousand are made at once.

    Attributes:
        properties: the same names for every node of a label (see ``adapters.graph.cypher``), epoch seconds for times.
    """

    label: str
    id: str
    properties: Mapping[str, Any]


class Edge(NamedTuple):
    """A relationship and the source that states it.

    Attributes:
        id: unique within its type; starts with ``source``. The same two nodes may be joined by one edge per source.
        start: (label, id) of the node it leaves.
        end: (label, id) of the node it enters.
        source: ``tenant|source key`` of the post or document it comes from, and by which it is traced and removed.
    """

    type: str
    id: str
    start: tuple[str, str]
    end: tuple[str, str]
    source: str
    properties: Mapping[str, Any]


Shared = tuple[str, Node, str, Mapping[str, Any]]
"""A shared node with the edge to it: type, node, what distinguishes the edge within its type, the edge's properties."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The channel or chat of a post: ``chat_id`` as the Bot API writes it, ``username`` without ``@``."""

    chat_id: int
    title: str
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known of one source when it is linked.

    Attributes:
        channel: of a post; None for documents.
        format: of a document (``"pdf"``); None for posts.
        published_at: epoch seconds; None where unknown.
        tags: as they stand in the text.
        extractions: ordinal of the chunk -> what it says.
        overrides: meanings of forms that a person of the tenant set.
    """

    tenant_id: str
    source_key: str
    title: str | None = None
    url: str | None = None
    published_at: int | None = None
    channel: Channel | None = None
    format: str | None = None
    tags: tuple[str, ...] = ()
    extractions: Mapping[int, Extraction] = field(default_factory=dict)
    overrides: Overrides = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subgraph:
    """All that one source says; every shared node has an edge of this source on it.

    Attributes:
        parts: ``Label id`` or ``TYPE id`` -> the node or edge; labels and types share no name.
    """

    parts: Mapping[str, Node | Edge] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The source's own node first, then the shared ones."""
        return tuple(part for part in self.parts.values() if isinstance(part, Node))

    @property
    def edges(self) -> tuple[Edge, ...]:
        """What the source vouches for."""
        return tuple(part for part in self.parts.values() if isinstance(part, Edge))


@dataclass(slots=True)
class _Evidence:
    """Where a fact was found, while the chunks are read.

    Attributes:
        forms: of a mention, each with the reasons why it means this entity.
    """

    forms: dict[str, str] = field(default_factory=dict)
    chunks: list[int] = field(default_factory=list)
    count: int = 0
    weak: bool = True

    def add(self, ordinal: int, *, weak: bool) -> None:
        self.count += 1
        self.weak = self.weak and weak
        if not self.chunks or self.chunks[-1] != ordinal:
            self.chunks.append(ordinal)


def join_id(*parts: str) -> str:
    """Return the parts as one id; no two lists of parts share an id.

    ``|``, ``~`` and ``%`` within a part are percent-encoded; of an over-long part its beginning and a digest remain.
    """
    return "|".join([_part(part) for part in parts])


@lru_cache(maxsize=1 << 16)
def _part(text: str) -> str:
    escaped = text.translate(ESCAPES) if ESCAPED.search(text) else text
    if len(escaped) <= MAX_PART_CHARACTERS:
        return escaped
    return f"{escaped[:40]}~{digest(text)[:32]}"


def source_node(tenant_id: str, source_key: str) -> tuple[str, str]:
    """Return (label, id) of the node of a post or document; ``ValueError`` if it is no source key."""
    return node_of_source(edge_source(tenant_id, source_key))


def edge_source(tenant_id: str, source_key: str) -> str:
    """Return ``tenant|source key``: what an edge carries to be traced by."""
    return join_id(tenant_id, source_key)


def parse_edge_source(source: str) -> ItemKey:
    """Return the item that an edge's ``source`` names; neither part is ever so long that it was cut."""
    tenant, _, source_key = source.partition("|")
    return ItemKey(unquote(tenant), unquote(source_key))


def node_of_source(source: str) -> tuple[str, str]:
    """Return (label, id) of the own node of what an edge's ``source`` names; ``ValueError`` if it names nothing."""
    tenant, _, source_key = source.partition("|")
    if stream_of(source_key) == "posts":
        return "Post", f"{tenant}|post|{source_key}"
    return "Document", f"{tenant}|document|{source_key}"


def edge_start(type_: str, edge_id: str) -> tuple[str, str]:
    """Return (label, id) of the node that an edge leaves, read from the edge's id."""
    tenant, source_key, *ends = edge_id.split("|")
    if type_ == "RELATED":
        return "Entity", "|".join((tenant, "entity", *ends[:2]))
    return node_of_source(f"{tenant}|{source_key}")


def build_subgraph(facts: Facts) -> Subgraph:
    """Return the nodes and edges of one source."""
    source = edge_source(facts.tenant_id, facts.source_key)
    start = node_of_source(source)
    parts: dict[str, Node | Edge] = {f"{start[0]} {start[1]}": _build_source_node(facts, *start)}
    for type_, node, name, properties in (*_channel(facts), *_tags(facts), *_entities(facts)):
        edge_id = f"{source}|{name}"
        parts[f"{node.label} {node.id}"] = node
        parts[f"{type_} {edge_id}"] = Edge(
            type_, edge_id, start, (node.label, node.id), source, {"tenant_id": facts.tenant_id, **properties}
        )
    parts.update((f"{edge.type} {edge.id}", edge) for edge in _related(facts, source))
    return Subgraph(parts)


def _build_source_node(facts: Facts, label: str, node_id: str) -> Node:
    properties: dict[str, Any] = {
        "tenant_id": facts.tenant_id,
        "source": facts.source_key,
        "title": facts.title,
        "published_at": facts.published_at,
    }
    if label == "Post":
        channel = facts.channel.title if facts.channel else None
        return Node(label, node_id, {**properties, "channel": channel, "url": facts.url})
    return Node(label, node_id, {**properties, "format": facts.format})


def _channel(facts: Facts) -> Iterator[Shared]:
    if facts.channel is None:
        return
    properties = {
        "tenant_id": facts.tenant_id,
        "chat_id": facts.channel.chat_id,
        "title": facts.channel.title,
        "username": facts.channel.username,
    }
    name = str(facts.channel.chat_id)
    yield "POSTED_IN", Node("Channel", join_id(facts.tenant_id, "channel", name), properties), name, {}


def _tags(facts: Facts) -> Iterator[Shared]:
    for name in dict.fromkeys(tag.casefold() for tag in facts.tags):
        yield "TAGGED", _tag(facts.tenant_id, name), _part(name), {}


@lru_cache(maxsize=CACHE_SIZE)
def _tag(tenant_id: str, name: str) -> Node:
    return Node("Tag", join_id(tenant_id, "tag", name), {"tenant_id": tenant_id, "name": name})


def _entities(facts: Facts) -> Iterator[Shared]:
    for (kind, key), found in _mentions(facts).items():
        forms = sorted(found.forms)
        reasons = LINE.join([found.forms[form] for form in forms])
        said = {"chunks": found.chunks, "count": found.count, "forms": LINE.join(forms), "reasons": reasons}
        yield "MENTIONS", _entity(facts.tenant_id, kind, key), join_id(kind, key), said


@lru_cache(maxsize=CACHE_SIZE)
def _entity(tenant_id: str, kind: str, key: str) -> Node:
    properties = {"tenant_id": tenant_id, "form": key, "kind": kind, "name": display_name(kind, key)}
    return Node("Entity", join_id(tenant_id, "entity", kind, key), properties)


def _related(facts: Facts, source: str) -> Iterator[Edge]:
    tenant = _part(facts.tenant_id)
    for (subject, object_, predicate), found in _relations(facts).items():
        start, end = join_id(*subject), join_id(*object_)
        yield Edge(
            "RELATED",
            f"{source}|{start}|{end}|{_part(predicate)}",
            ("Entity", f"{tenant}|entity|{start}"),
            ("Entity", f"{tenant}|entity|{end}"),
            source,
            {"tenant_id": facts.tenant_id, "predicate": predicate, "weak": found.weak, "chunks": found.chunks},
        )


def _mentions(facts: Facts) -> dict[EntityKey, _Evidence]:
    mentions: dict[EntityKey, _Evidence] = {}
    for ordinal, extraction in sorted(facts.extractions.items()):
        for entity in extraction.entities:
            kind, key, reasons = resolve_with_overrides(entity.kind, entity.form, facts.overrides)
            found = mentions.setdefault((kind, key), _Evidence())
            found.add(ordinal, weak=False)
            found.forms.setdefault(entity.form, ", ".join(reasons))
    return mentions


def _relations(facts: Facts) -> dict[tuple[EntityKey, EntityKey, str], _Evidence]:
    """Return each relation once.

    One whose ends the chunk does not name, or that joins an entity to itself, perhaps by another of its names, is no
    fact.
    """
    relations: dict[tuple[EntityKey, EntityKey, str], _Evidence] = {}
    for ordinal, extraction in sorted(facts.extractions.items()):
        # Of two entities with one form, a relation means the first.
        kinds = {entity.form: entity.kind for entity in reversed(extraction.entities)}
        for relation in extraction.relations:
            if relation.subject not in kinds or relation.object not in kinds:
                continue
            subject, object_ = (
                resolve_with_overrides(kinds[form], form, facts.overrides)[:2]
                for form in (relation.subject, relation.object)
            )
            if relation.predicate == MENTIONED_WITH and subject > object_:  # it has no direction
                subject, object_ = object_, subject
            if subject != object_:
                relations.setdefault((subject, object_, relation.predicate), _Evidence()).add(
                    ordinal, weak=relation.weak
                )
    return relations
