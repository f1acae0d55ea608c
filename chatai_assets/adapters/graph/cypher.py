"""The graph's schema and its statements: strings and parameter names only, no driver.

A statement that works on rows is a *body* that reads the columns of one row by the names ``column`` gives them. What
stands before the body makes the rows: ``UNWIND $rows AS row`` where parameters carry them (``of="row."``), a scan
where a store reads them faster from a file (``of="row_"``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

PropertyType = Literal["STRING", "INT64", "BOOLEAN", "INT64[]"]

NODES: Mapping[str, Mapping[str, PropertyType]] = {
    "Post": {
        "tenant_id": "STRING",
        "source": "STRING",
        "channel": "STRING",
        "title": "STRING",
        "url": "STRING",
        "published_at": "INT64",
    },
    "Document": {
        "tenant_id": "STRING",
        "source": "STRING",
        "title": "STRING",
        "format": "STRING",
        "published_at": "INT64",
    },
    "Channel": {"tenant_id": "STRING", "chat_id": "INT64", "title": "STRING", "username": "STRING"},
    "Tag": {"tenant_id": "STRING", "name": "STRING"},
    "Entity": {"tenant_id": "STRING", "form": "STRING", "kind": "STRING", "name": "STRING"},
}
"""Label -> properties other than ``id``. A source is a source key here; times are epoch seconds."""

EDGES: Mapping[str, Mapping[str, PropertyType]] = {
    "POSTED_IN": {"tenant_id": "STRING"},
    "TAGGED": {"tenant_id": "STRING"},
    "MENTIONS": {
        "tenant_id": "STRING",
        "chunks": "INT64[]",
        "count": "INT64",
        "forms": "STRING",
        "reasons": "STRING",
    },
    "RELATED": {"tenant_id": "STRING", "predicate": "STRING", "weak": "BOOLEAN", "chunks": "INT64[]"},
}
"""Type -> properties other than ``id`` and ``source`` (``tenant|source key``); chunks are ordinals, each once.

``forms`` has the forms by which an entity is mentioned, one a line, and ``reasons`` in the same order why each means
that entity: ladybug cannot read a list of strings from a file exactly.
"""

ADDED_LATER: Mapping[str, tuple[str, ...]] = {"MENTIONS": ("forms", "reasons")}
"""Type -> properties that graphs of an earlier version lack."""

ENDPOINTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "POSTED_IN": (("Post", "Channel"),),
    "TAGGED": (("Post", "Tag"), ("Document", "Tag")),
    "MENTIONS": (("Post", "Entity"), ("Document", "Entity")),
    "RELATED": (("Entity", "Entity"),),
}
"""Type -> the labels it joins."""

READ_GENERATION = "MATCH (p:Projection {id: 'graph'}) RETURN p.mark"
"""Returns the generation of the last write session (``storage.projection_ledger``), stored in a node of its own."""
WRITE_GENERATION = "MERGE (p:Projection {id: 'graph'}) SET p.mark = $mark"
IS_CURRENT = "MATCH ()-[r:MENTIONS]->() RETURN r.reasons LIMIT 0"
"""Fails where ladybug's tables are those of an earlier version."""
EDGE_COUNT = "MATCH ()-[r]->() RETURN count(*)"
_BY_OFFSET = "RETURN offset(id({0})) / $size AS number, count(*) ORDER BY number"
_BETWEEN = "WHERE offset(id({0})) >= $first AND offset(id({0})) < $beyond"


def ladybug_schema() -> list[str]:
    """Return the statements that make ladybug's tables, and their later columns, where they are not there yet."""
    return [
        "CREATE NODE TABLE IF NOT EXISTS Projection(id STRING PRIMARY KEY, mark STRING)",
        *(
            f"CREATE NODE TABLE IF NOT EXISTS {label}(id STRING PRIMARY KEY, {_declarations(properties)})"
            for label, properties in NODES.items()
        ),
        *(
            f"CREATE REL TABLE IF NOT EXISTS {type_}("
            f"{', '.join(f'FROM {start} TO {end}' for start, end in ENDPOINTS[type_])}, "
            f"id STRING, source STRING, {_declarations(properties)})"
            for type_, properties in EDGES.items()
        ),
        *(
            f"ALTER TABLE {type_} ADD IF NOT EXISTS {name} {EDGES[type_][name]}"
            for type_, names in ADDED_LATER.items()
            for name in names
        ),
    ]


def neo4j_schema() -> list[str]:
    """Return the statements that make Neo4j's constraints, each with its index, where they are not there yet."""
    nodes = [f"chatai_{label.lower()}_id IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE" for label in NODES]
    edges = [f"chatai_{type_.lower()}_id IF NOT EXISTS FOR ()-[r:{type_}]-() REQUIRE r.id IS UNIQUE" for type_ in EDGES]
    return [f"CREATE CONSTRAINT {constraint}" for constraint in (*nodes, *edges)]


def node_columns(label: str) -> dict[str, PropertyType]:
    """Return the columns of a row that writes a node: ``id`` and the properties."""
    return {"id": "STRING", **NODES[label]}


def edge_columns(type_: str) -> dict[str, PropertyType]:
    """Return the columns of a row that writes an edge: the ids of both ends, ``id``, ``source`` and the properties."""
    return {"start": "STRING", "end": "STRING", "id": "STRING", "source": "STRING", **EDGES[type_]}


def create_node(label: str, of: str = "row.") -> str:
    """Return the body that writes a node which is not there yet."""
    return f"CREATE (:{label} {_map(node_columns(label), of)})"


def set_node(label: str, of: str = "row.") -> str:
    """Return the body that rewrites a node which is there."""
    return f"MATCH (n:{label} {{id: {of}id}}) SET {_assignments('n', NODES[label], of)}"


def create_edge(type_: str, start: str, end: str, of: str = "row.") -> str:
    """Return the body that writes an edge which is not there yet."""
    properties = _map({"id": "STRING", "source": "STRING", **EDGES[type_]}, of)
    return f"{_ends(start, end, of)} CREATE (a)-[:{type_} {properties}]->(b)"


def known_nodes(label: str) -> str:
    """Return the statement that answers which of the nodes ``$ids`` are there: ``id`` and the properties."""
    return f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) RETURN {_projection('n', node_columns(label))}"


def delete_edges_by_id(type_: str) -> str:
    """Return the statement that removes the edges ``$ids``, for stores that find edges by key."""
    return f"UNWIND $ids AS id MATCH ()-[r:{type_} {{id: id}}]->() DELETE r"


def delete_edges(type_: str, start: str) -> str:
    """Return the statement that removes the edges ``$ids`` which leave the node ``$start``."""
    return f"MATCH (n:{start} {{id: $start}})-[r:{type_}]->() WHERE r.id IN $ids DELETE r"


def release_nodes(label: str) -> str:
    """Return the statement that removes those of the nodes ``$ids`` that have no relationship."""
    return f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) WHERE NOT EXISTS {{ MATCH (n)-[]-() }} DELETE n"


def count_nodes(label: str) -> str:
    """Return the statement that counts the nodes of a label."""
    return f"MATCH (n:{label}) RETURN count(*)"


def count_nodes_by_offset(label: str) -> str:
    """Return the statement that counts the nodes of a label by ``$size`` offsets of its table: number, count."""
    return f"MATCH (n:{label}) {_BY_OFFSET.format('n')}"


def count_edges_by_offset(type_: str, start: str, end: str) -> str:
    """Return the statement that counts the edges of a type between two labels by ``$size`` offsets of its table."""
    return f"MATCH (:{start})-[r:{type_}]->(:{end}) {_BY_OFFSET.format('r')}"


def nodes_between(label: str) -> str:
    """Return the statement that lists the nodes at the offsets from ``$first`` to ``$beyond``: ``node_columns``."""
    return f"MATCH (n:{label}) {_BETWEEN.format('n')} RETURN {_projection('n', node_columns(label))}"


def edges_between(type_: str, start: str, end: str) -> str:
    """Return the statement that lists the edges at the offsets from ``$first`` to ``$beyond``: ``edge_columns``."""
    columns = _projection("r", {"id": "STRING", "source": "STRING", **EDGES[type_]})
    return f"MATCH (a:{start})-[r:{type_}]->(b:{end}) {_BETWEEN.format('r')} RETURN a.id, b.id, {columns}"


def nodes_after(label: str) -> str:
    """Return the statement that lists the first ``$limit`` nodes of a label whose id is above ``$after``, by id."""
    columns = _projection("n", node_columns(label))
    return f"MATCH (n:{label}) WHERE n.id > $after RETURN {columns} ORDER BY n.id LIMIT $limit"


def edges_after(type_: str) -> str:
    """Return the statement that lists the first ``$limit`` edges of a type whose id is above ``$after``, by id.

    The labels of both ends come first, then the columns of ``edge_columns``.
    """
    columns = _projection("r", {"id": "STRING", "source": "STRING", **EDGES[type_]})
    return (
        f"MATCH (a)-[r:{type_}]->(b) WHERE r.id > $after "
        f"RETURN labels(a)[0], labels(b)[0], a.id, b.id, {columns} ORDER BY r.id LIMIT $limit"
    )


def _ends(start: str, end: str, of: str) -> str:
    # Two MATCH clauses: ladybug looks both keys up; with one, it makes the product of both tables.
    return f"MATCH (a:{start} {{id: {of}start}}) MATCH (b:{end} {{id: {of}end}})"


def _declarations(properties: Mapping[str, PropertyType]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in properties.items())


def _map(properties: Mapping[str, PropertyType], of: str) -> str:
    return "{" + ", ".join(f"{name}: {of}{name}" for name in properties) + "}"


def _assignments(variable: str, properties: Mapping[str, PropertyType], of: str) -> str:
    return ", ".join(f"{variable}.{name} = {of}{name}" for name in properties)


def _projection(variable: str, properties: Mapping[str, PropertyType]) -> str:
    return ", ".join(f"{variable}.{name}" for name in properties)
