"""Servers are there for all tests; each starts when the first test asks for it."""

from collections.abc import Iterator

import pytest
import structlog

from chatai_assets_tests.support.services import (
    browser,
    database_url,
    empty_neo4j,
    neo4j_server,
    postgresql_server,
    qdrant,
    redis_server,
    servers,
    tesseract,
)

__all__ = [
    "browser",
    "database_url",
    "empty_neo4j",
    "neo4j_server",
    "postgresql_server",
    "qdrant",
    "redis_server",
    "servers",
    "tesseract",
]


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Have no test write its log where an earlier one wanted it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
