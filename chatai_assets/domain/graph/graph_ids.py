"""Ids of nodes and edges against what stands beside them: an id names its node or edge completely."""

from __future__ import annotations

from chatai_assets.domain.entities.resolution import shown
from chatai_assets.domain.graph.subgraph import Edge, Node, joined, node_of_source, own_node

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
