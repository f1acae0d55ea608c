"""Compares subgraphs with the ledger and builds the changes that a batch makes to the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from chatai_assets.domain.entities.resolution import display_name
from chatai_assets.domain.graph.subgraph import Edge, Node, Subgraph, edge_start, join_id, node_of_source, source_node
from chatai_assets.domain.ids import fingerprint
from chatai_assets.domain.projection_plan import Plan

SHAPE_VERSION = "2"
"""Prefix of every fingerprint; increment it when the shape of nodes or edges changes, to rewrite all of them."""

MAX_PLAIN_CHARACTERS = 32
EDGE_TYPES = frozenset({"POSTED_IN", "TAGGED", "MENTIONS", "RELATED"})
DETERMINED_BY_ID = frozenset({"tenant_id", "source", "chat_id", "name", "kind", "form", "predicate"})
"""Properties that the id determines: a fingerprint of content need not repeat them."""


@dataclass(frozen=True, slots=True)
class EdgeRef:
    """An edge to remove: ``start`` is (label, id) of the node it leaves, for stores that find nodes only by key."""

    type: str
    id: str
    start: tuple[str, str]


@dataclass(frozen=True, slots=True)
class GraphChange:
    """What a batch does to the graph; applied in this order.

    Attributes:
        nodes: written (merged) by id, each once.
        edges: written (merged) by id, each once; both ends exist, and so does the own node of their source: a source
            whose node is not there has no edge in the graph.
        delete_edges: edges to remove; unknown ones are no error.
        release_nodes: (label, id) of nodes that go if no relationship is left on them.
    """

    nodes: Sequence[Node] = ()
    edges: Sequence[Edge] = ()
    delete_edges: Sequence[EdgeRef] = ()
    release_nodes: Sequence[tuple[str, str]] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.nodes or self.edges or self.delete_edges or self.release_nodes)


def fingerprints(desired: Subgraph) -> dict[str, str]:
    """Return ledger key -> fingerprint of content, for ``domain.projection_plan``."""
    return {key: content_fingerprint(part) for key, part in desired.parts.items()}


def build_change(items: Iterable[tuple[Plan, Subgraph]]) -> GraphChange:
    """Return what the plans of a batch come to; what several items share is written once, as the last one says.

    Args:
        items: per source, what ``plan_index`` answered and the subgraph it was asked about; an empty subgraph for a
            source that goes.
    """
    written: dict[str, Node | Edge] = {}
    removed: dict[str, None] = {}
    for plan, desired in items:
        written.update((key, desired.parts[key]) for key in plan.upserts)
        removed.update(dict.fromkeys(plan.deletes))
    gone = [key.split(" ", 1) for key in removed]
    return GraphChange(
        nodes=tuple(part for part in written.values() if isinstance(part, Node)),
        edges=tuple(part for part in written.values() if isinstance(part, Edge)),
        delete_edges=tuple(EdgeRef(kind, id_, edge_start(kind, id_)) for kind, id_ in gone if kind in EDGE_TYPES),
        release_nodes=tuple((kind, id_) for kind, id_ in gone if kind not in EDGE_TYPES),
    )


def content_fingerprint(part: Node | Edge) -> str:
    """Return a fingerprint of the properties that the id does not determine.

    Short content is its own fingerprint: ninety thousand digests a run would cost a second.
    """
    names = _content_properties(tuple(part.properties))
    if not names:
        return SHAPE_VERSION
    text = SHAPE_VERSION + repr([part.properties[name] for name in names])
    return text if len(text) <= MAX_PLAIN_CHARACTERS else fingerprint(text)


@lru_cache
def _content_properties(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return, sorted, the names of properties that the id does not determine."""
    return tuple(sorted(set(names) - DETERMINED_BY_ID))


SHARED_NODE_KINDS = {"POSTED_IN": "channel", "TAGGED": "tag", "MENTIONS": "entity"}
"""Type of edge -> what the ids of the shared nodes say that it leads to."""


def matches_id(part: Node | Edge) -> bool:
    """Return whether the properties that an id determines, and the ends of an edge, are those of the id."""
    try:
        return _node_matches_id(part) if isinstance(part, Node) else _edge_matches_id(part)
    except (KeyError, ValueError):
        return False


def _node_matches_id(node: Node) -> bool:
    told = node.properties
    tenant = str(told["tenant_id"])
    match node.label:
        case "Channel":
            return node.id == join_id(tenant, "channel", str(told["chat_id"]))
        case "Tag":
            return node.id == join_id(tenant, "tag", str(told["name"]))
        case "Entity":
            kind, key = str(told["kind"]), str(told["form"])
            return node.id == join_id(tenant, "entity", kind, key) and told["name"] == display_name(kind, key)
        case _:
            return (node.label, node.id) == source_node(tenant, str(told["source"]))


def _edge_matches_id(edge: Edge) -> bool:
    tenant = edge.source.partition("|")[0]
    if join_id(str(edge.properties["tenant_id"])) != tenant or not edge.id.startswith(f"{edge.source}|"):
        return False
    rest = edge.id[len(edge.source) + 1 :]
    if edge.type in SHARED_NODE_KINDS:
        return (
            edge.start == node_of_source(edge.source)
            and edge.end[1] == f"{tenant}|{SHARED_NODE_KINDS[edge.type]}|{rest}"
        )
    ends = "|".join(node_id.removeprefix(f"{tenant}|entity|") for _, node_id in (edge.start, edge.end))
    return rest == f"{ends}|{join_id(str(edge.properties['predicate']))}"
