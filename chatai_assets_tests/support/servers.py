"""Fixtures for real servers, started by the scripts of ``deploy/services``: one per session, emptied for each test.

If a server is missing, its tests are skipped with the reason; with ``CI=true`` they fail. Only CI installs what
is missing: on a developer's machine run the script once by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from neo4j import GraphDatabase

from chatai_assets.adapters.crawler.browser.process import find_chromium
from chatai_assets.adapters.graph.neo4j import Neo4jGraph
from chatai_assets.adapters.ocr.tesseract import Tesseract, TesseractNotFound, find_tesseract
from chatai_assets.files.locks import CheckLock
from chatai_assets_tests.support.migrated_stores import empty_database, migrated_database
from chatai_assets_tests.support.qdrant_wire import QdrantStandIn, run_qdrant_stand_in
from chatai_assets_tests.support.scans import MissingFont, font
from chatai_assets_tests.support.server_processes import IN_CI, Reach, ServerMissing, shared_server

SESSION = pytest.StashKey[Path]()
"""Where pytest's configuration keeps the folder of the session."""
SESSION_INPUT = "chatai_session"
"""The name under which pytest-xdist passes it to workers."""


class BrowserMissing(Exception):
    """Pages cannot be shown on this machine; the message says why."""


@contextmanager
def skip_without(*missing: type[Exception]) -> Iterator[None]:
    """Skip a test that finds something missing on this machine, with the reason; in CI fail it."""
    try:
        yield
    except missing as reason:
        (pytest.fail if IN_CI else pytest.skip)(str(reason))


@pytest.fixture(scope="session")
def servers_folder(pytestconfig: pytest.Config) -> Path:
    """The folder in which the processes of this session share servers."""
    return pytestconfig.stash[SESSION]


@pytest.fixture(scope="session")
def postgresql_server(servers_folder: Path) -> Reach:
    """One PostgreSQL for all tests."""
    return _shared("postgresql", servers_folder)


@pytest.fixture(scope="session")
def redis_server(servers_folder: Path) -> Reach:
    """One Redis for all tests."""
    return _shared("redis", servers_folder)


@pytest.fixture(scope="session")
def neo4j_server(servers_folder: Path) -> Reach:
    """One Neo4j for all tests, which therefore run in one worker: see ``conftest.py``."""
    return _shared("neo4j", servers_folder)


def _shared(name: str, folder: Path) -> Reach:
    with skip_without(ServerMissing):
        return shared_server(name, folder)


@pytest.fixture
def database_url(postgresql_server: Reach, servers_folder: Path) -> Iterator[str]:
    """A PostgreSQL database with all tables and no rows."""
    with migrated_database(postgresql_server, servers_folder) as url:
        yield url


@pytest.fixture
def empty_database_url(postgresql_server: Reach) -> Iterator[str]:
    """A PostgreSQL database without tables."""
    with empty_database(postgresql_server) as url:
        yield url


def neo4j_auth(server: Reach) -> tuple[str, str]:
    """Return user and password of a Neo4j."""
    return server["NEO4J_USER"], server["NEO4J_PASSWORD"]


def empty_graph(server: Reach) -> None:
    """Delete all nodes of a Neo4j; its Community edition has only one database, which tests share."""
    with GraphDatabase.driver(server["NEO4J_URI"], auth=neo4j_auth(server)) as driver:
        driver.execute_query("MATCH (n) DETACH DELETE n")


def open_neo4j(server: Reach) -> Neo4jGraph:
    """Return the graph of a Neo4j without a lock against other writers."""
    return Neo4jGraph(server["NEO4J_URI"], neo4j_auth(server), always_locked)


@contextmanager
def always_locked() -> Iterator[CheckLock]:
    """Yield a lock that is never lost, for tests with one writer."""
    yield lambda: None


@pytest.fixture
def empty_neo4j(neo4j_server: Reach) -> Reach:
    """Neo4j without a node."""
    empty_graph(neo4j_server)
    return neo4j_server


@pytest.fixture(scope="session")
def tesseract() -> Tesseract:
    """The tesseract of this machine, and a font to write what it reads."""
    with skip_without(TesseractNotFound, MissingFont):
        font(12)
        return find_tesseract()


@pytest.fixture(scope="session")
def browser() -> None:
    """The browser extra and a Chromium."""
    with skip_without(BrowserMissing):
        if find_spec("crawl4ai") is None:
            raise BrowserMissing("crawl4ai is not installed: make browser.")
        if find_chromium() is None:
            raise BrowserMissing("Chromium is not installed.")


@pytest.fixture
def qdrant() -> Iterator[QdrantStandIn]:
    """The stand-in for Qdrant, empty."""
    with run_qdrant_stand_in() as served:
        yield served


@pytest.fixture
def servers(database_url: str, empty_neo4j: Reach, qdrant: QdrantStandIn) -> Reach:
    """The variables that select a server for every store, all empty."""
    return {"DATABASE_URL": database_url, "QDRANT_URL": qdrant.url, **empty_neo4j}
