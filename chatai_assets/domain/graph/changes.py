"""Subgraphs against the ledger, which knows their parts by the same keys -> what a batch does to the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from chatai_assets.domain.entities.resolution import shown
from chatai_assets.domain.graph.subgraph import Edge, Node, Subgraph, joined, node_of_source, own_node, start_of
from chatai_assets.domain.ids import fingerprint
from chatai_assets.domain.projection_plan import Plan

FORM = "2"
"""Begins every fingerprint; count it up when nodes or edges change their shape, and all are written anew."""

MAX_PLAIN_CHARACTERS = 32
EDGE_TYPES = frozenset({"POSTED_IN", "TAGGED", "MENTIONS", "RELATED"})
TOLD_BY_ID = frozenset({"tenant_id", "source", "chat_id", "name", "kind", "form", "predicate"})
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
    return {key: content_of(part) for key, part in desired.parts.items()}


def change_of(items: Iterable[tuple[Plan, Subgraph]]) -> GraphChange:
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
        delete_edges=tuple(EdgeRef(kind, id_, start_of(kind, id_)) for kind, id_ in gone if kind in EDGE_TYPES),
        release_nodes=tuple((kind, id_) for kind, id_ in gone if kind not in EDGE_TYPES),
    )


def content_of(part: Node | Edge) -> str:
    """Return a fingerprint of what the id does not tell.

    Short content stands for itself, since ninety thousand digests a run cost a second.
    """
    names = _telling(tuple(part.properties))
    if not names:
        return FORM
    text = FORM + repr([part.properties[name] for name in names])
    return text if len(text) <= MAX_PLAIN_CHARACTERS else fingerprint(text)


@lru_cache
def _telling(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return, sorted, the names of properties that the id does not determine."""
    return tuple(sorted(set(names) - TOLD_BY_ID))


SHARED = {"POSTED_IN": "channel", "TAGGED": "tag", "MENTIONS": "entity"}
"""Type of edge -> what the ids of the shared nodes say that it leads to."""


def is_true_to_id(part: Node | Edge) -> bool:
    """Return whether the properties that an id determines, and the ends of an edge, are those of the id."""
    try:
        return _node_is_true(part) if isinstance(part, Node) else _edge_is_true(part)
    except (KeyError, ValueError):
        return False


def _node_is_true(node: Node) -> bool:
    told = node.properties
    tenant = str(told["tenant_id"])
    match node.label:
        case "Channel":
            return node.id == joined(tenant, "channel", str(told["chat_id"]))
        case "Tag":
            return node.id == joined(tenant, "tag", str(told["name"]))
        case "Entity":
            kind, key = str(told["kind"]), str(told["form"])
            return node.id == joined(tenant, "entity", kind, key) and told["name"] == shown(kind, key)
        case _:
            return (node.label, node.id) == own_node(tenant, str(told["source"]))


def _edge_is_true(edge: Edge) -> bool:
    tenant = edge.source.partition("|")[0]
    if joined(str(edge.properties["tenant_id"])) != tenant or not edge.id.startswith(f"{edge.source}|"):
        return False
    rest = edge.id[len(edge.source) + 1 :]
    if edge.type in SHARED:
        return edge.start == node_of_source(edge.source) and edge.end[1] == f"{tenant}|{SHARED[edge.type]}|{rest}"
    ends = "|".join(node_id.removeprefix(f"{tenant}|entity|") for _, node_id in (edge.start, edge.end))
    return rest == f"{ends}|{joined(str(edge.properties['predicate']))}"
