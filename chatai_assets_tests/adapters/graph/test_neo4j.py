from contextlib import closing, contextmanager
from itertools import islice

import pytest
from neo4j import GraphDatabase

from chatai_assets.adapters.graph import cypher
from chatai_assets.adapters.graph.base import GraphCounts
from chatai_assets.adapters.graph.neo4j import Neo4jGraph
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.graph.changes import GraphChange
from chatai_assets.domain.graph.subgraph import Facts, Node, build_subgraph
from chatai_assets_tests.support.graph_writes import VERSIONS, changes, expected_parts, read_parts
from chatai_assets_tests.support.servers import always_locked, neo4j_auth, open_neo4j

DOCUMENT = build_subgraph(Facts("t", "doc/1", title="a secret", tags=("a",)))
ALL = GraphChange(nodes=DOCUMENT.nodes, edges=DOCUMENT.edges)


@pytest.fixture
def graph(empty_neo4j):
    with closing(open_neo4j(empty_neo4j)) as opened:
        yield opened


def test_a_history_ends_with_its_last_version(graph):
    for _, change in islice(changes(), VERSIONS):
        with graph.writing() as writer:
            writer.apply(change)
    assert read_parts(graph) == expected_parts(VERSIONS - 1)


def test_a_failed_change_writes_nothing_quotes_no_text_and_blocks_no_other(graph):
    with graph.writing() as writer:
        with pytest.raises(StoreUnavailable, match=r"cannot be written: .*ConstraintValidationFailed") as caught:
            writer.apply(GraphChange(nodes=[*DOCUMENT.nodes, *DOCUMENT.nodes]))
        assert "doc/1" not in str(caught.value)
        with pytest.raises(KeyError):
            writer.apply(GraphChange(nodes=[*DOCUMENT.nodes, Node("Tag", "t|tag|b", {})]))
        writer.apply(ALL)
    assert graph.count() == GraphCounts(2, 1)


def test_losing_the_lock_while_writing_commits_nothing(empty_neo4j):
    def lost():
        raise StoreUnavailable("the turn was lost")

    @contextmanager
    def soon_lost():
        yield lost

    with closing(Neo4jGraph(empty_neo4j["NEO4J_URI"], neo4j_auth(empty_neo4j), soon_lost)) as graph:
        with graph.writing() as writer, pytest.raises(StoreUnavailable, match="turn was lost"):
            writer.apply(ALL)
        assert graph.count() == GraphCounts(0, 0)


def test_an_unreachable_server_is_an_outage():
    with closing(Neo4jGraph("bolt://127.0.0.1:1", ("neo4j", "x"), always_locked, retry_s=0.5)) as graph:
        with pytest.raises(StoreUnavailable, match="the graph cannot be read: ServiceUnavailable"):
            graph.count()
        with pytest.raises(StoreUnavailable, match="the graph cannot be prepared"), graph.writing():
            pass


def test_a_wrong_password_is_an_outage_that_names_the_settings_and_no_secret(neo4j_server):
    with closing(Neo4jGraph(neo4j_server["NEO4J_URI"], ("neo4j", "wrong-secret"), always_locked)) as graph:
        with pytest.raises(StoreUnavailable, match="check NEO4J_USER and NEO4J_PASSWORD") as caught:
            graph.count()
        assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        cypher.known_nodes("Entity"),
        cypher.delete_edges_by_id("MENTIONS"),
        cypher.release_nodes("Entity"),
        cypher.nodes_after("Entity"),
        cypher.edges_after("RELATED"),
        f"UNWIND $rows AS row {cypher.create_edge('MENTIONS', 'Post', 'Entity')}",
    ],
)
def test_everything_is_found_by_an_index(graph, empty_neo4j, statement):
    with graph.writing() as writer:
        writer.apply(ALL)
    parameters = {"ids": [], "rows": [], "after": "", "limit": 1}
    with GraphDatabase.driver(empty_neo4j["NEO4J_URI"], auth=neo4j_auth(empty_neo4j)) as driver:
        plan = driver.execute_query(f"EXPLAIN {statement}", parameters).summary.plan
    assert operators(plan) & {"AllNodesScan", "NodeByLabelScan", "DirectedRelationshipTypeScan", "Sort", "Top"} == set()


def operators(plan):
    found = {plan["operatorType"].split("@")[0]}
    return found.union(*(operators(child) for child in plan.get("children", ())))
