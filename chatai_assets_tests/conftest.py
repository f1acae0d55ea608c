"""Servers are there for all tests; each starts when the first test asks for it."""

from chatai_assets_tests.services import (
    database_url,
    empty_neo4j,
    neo4j_server,
    postgresql_server,
    qdrant,
    redis_server,
    servers,
)

__all__ = ["database_url", "empty_neo4j", "neo4j_server", "postgresql_server", "qdrant", "redis_server", "servers"]
