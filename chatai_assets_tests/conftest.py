"""Servers for all tests, shared by the workers of pytest-xdist; each starts when the first test asks for it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog

from chatai_assets_tests.support.server_processes import session_folder
from chatai_assets_tests.support.servers import (
    SESSION,
    SESSION_INPUT,
    browser,
    database_url,
    empty_database_url,
    empty_neo4j,
    neo4j_server,
    postgresql_server,
    qdrant,
    redis_server,
    servers,
    servers_folder,
    tesseract,
)

__all__ = [
    "browser",
    "database_url",
    "empty_database_url",
    "empty_neo4j",
    "neo4j_server",
    "postgresql_server",
    "qdrant",
    "redis_server",
    "servers",
    "servers_folder",
    "tesseract",
]


NEO4J_FIXTURES = {"neo4j_server", "empty_neo4j", "servers"}
NEO4J_PARAMS = {"neo4j", "servers"}
SCENARIOS = Path(__file__).parent / "scenarios"


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder in which the processes of this session share servers; a worker takes that of the session."""
    if hasattr(config, "workerinput"):
        config.stash[SESSION] = Path(config.workerinput[SESSION_INPUT])
        return
    stack = ExitStack()
    config.stash[SESSION] = stack.enter_context(session_folder())
    config.add_cleanup(stack.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass that folder to a worker of pytest-xdist."""
    node.workerinput[SESSION_INPUT] = str(node.config.stash[SESSION])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is a scenario by its place or its fixtures, and group what one worker of pytest-xdist must run."""
    for item in items:
        if group := _group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))
        if item.path.parent == SCENARIOS or "browser" in _fixtures_of(item):
            item.add_marker(pytest.mark.scenario)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where pytest-xdist does not see the groups: their tests would disturb each other.

    Raises:
        pytest.UsageError: a test of a group has no group in the id by which pytest-xdist distributes it.
    """
    if getattr(session.config.option, "loadgroup", False):  # set in workers alone
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                raise pytest.UsageError("pytest-xdist does not group the tests of this version of pytest.")


def _group_of(item: pytest.Item) -> str | None:
    """Return the group of tests that share something which only one worker may have or should make."""
    if _uses_neo4j(item):
        return "neo4j"  # its Community edition has one database, which each of these tests empties
    if "daemon" in _fixtures_of(item):
        return "daemon"
    return item.path.stem if item.get_closest_marker("one_worker") else None


def _uses_neo4j(item: pytest.Item) -> bool:
    parameters = getattr(item, "callspec", None)
    chosen = {value for value in parameters.params.values() if isinstance(value, str)} if parameters else set()
    return bool(NEO4J_FIXTURES & {*_fixtures_of(item)} or NEO4J_PARAMS & chosen)


def _fixtures_of(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Have no test write its log where an earlier one wanted it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
