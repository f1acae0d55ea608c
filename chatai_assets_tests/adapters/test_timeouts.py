"""Servers that accept a connection and say nothing, or nothing any more: an outage within a bound, never a hang."""

import socket
import time
from contextlib import ExitStack, closing, contextmanager

import psutil
import pytest
from sqlalchemy import text

from chatai_assets.adapters.graph.neo4j import Neo4jGraph
from chatai_assets.adapters.vectors.qdrant import QdrantVectors
from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.storage import engine as store
from chatai_assets.storage.engine import Records, open_records
from chatai_assets_tests.support.servers import always_locked, neo4j_auth


@pytest.fixture
def silent_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:  # the kernel accepts, nobody answers
        yield listening.getsockname()[1]


@contextmanager
def at_most(seconds):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_silent_neo4j_is_an_outage(silent_port, scheme):
    uri = f"{scheme}://127.0.0.1:{silent_port}"
    with closing(Neo4jGraph(uri, ("neo4j", "x"), always_locked, retry_s=0.2, acquire_s=0.5)) as graph, at_most(20):
        with pytest.raises(StoreUnavailable, match="the graph cannot be read"):
            graph.count()
        with pytest.raises(StoreUnavailable, match="the graph cannot be prepared"), graph.writing():
            pass


@contextmanager
def frozen(port):
    """Stop the process that listens on a port, until the block ends."""
    listening = {one.laddr[1]: one.pid for one in psutil.net_connections("tcp") if one.laddr and one.status == "LISTEN"}
    server = psutil.Process(listening[port])
    server.suspend()
    try:
        yield
    finally:
        server.resume()


def test_a_neo4j_that_freezes_is_an_outage_until_it_goes_on(neo4j_server):
    uri = neo4j_server["NEO4J_URI"]
    with closing(Neo4jGraph(uri, neo4j_auth(neo4j_server), always_locked, retry_s=0.2, acquire_s=1.0)) as graph:
        before = graph.count()
        port = int(uri.rpartition(":")[2])
        with frozen(port), at_most(30), pytest.raises(StoreUnavailable, match="the graph cannot be read"):
            graph.count()
        assert graph.count() == before


@pytest.mark.parametrize("door", ["rest", "grpc"])
def test_a_silent_qdrant_is_an_outage(silent_port, door):
    grpc_port = silent_port if door == "grpc" else None
    url = f"http://127.0.0.1:{silent_port}"
    with closing(QdrantVectors(url, 4, "m", always_locked, grpc_port=grpc_port, timeout_s=1)) as vectors, at_most(20):
        with pytest.raises(StoreUnavailable, match="the vector index cannot be read"):
            vectors.count()
        with pytest.raises(StoreUnavailable, match="the vector index cannot be read"), vectors.writing():
            pass


def test_a_silent_postgresql_is_an_outage(silent_port):
    with at_most(20), pytest.raises(StoreUnavailable, match="timeout expired"):
        open_records(f"postgresql://nobody@127.0.0.1:{silent_port}/nothing?connect_timeout=2")


@pytest.fixture
def impatient(database_url, monkeypatch):
    monkeypatch.setattr(store, "STATEMENT_S", 0.3)
    monkeypatch.setattr(store, "IDLE_S", 0.3)
    records = open_records(database_url)
    yield records
    records.close()


def test_a_statement_that_takes_for_ever_is_an_outage(impatient: Records):
    with at_most(20), pytest.raises(StoreUnavailable, match="statement timeout"), impatient.begin() as connection:
        connection.execute(text("SELECT pg_sleep(10)"))


def test_a_transaction_that_is_forgotten_lets_go_of_its_rows(impatient: Records):
    def change(connection):
        connection.execute(text("UPDATE checkpoints SET value = '2' WHERE name = 'x'"))

    with impatient.begin() as connection:
        connection.execute(text("INSERT INTO checkpoints (name, value) VALUES ('x', '1')"))
    with ExitStack() as forgotten:
        change(forgotten.enter_context(impatient.begin()))
        time.sleep(0.6)
        with impatient.begin() as connection:
            change(connection)
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            forgotten.close()
