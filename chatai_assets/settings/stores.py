"""Where the servers are that take the place of embedded stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chatai_assets.settings.values import InvalidSetting, number

NEO4J_SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")


@dataclass(frozen=True, slots=True)
class QdrantServer:
    """Where Qdrant is.

    Attributes:
        url: of its REST port, e.g. ``http://qdrant:6333`` (``QDRANT_URL``).
        api_key: (``QDRANT_API_KEY``).
        grpc_port: of its gRPC port, which then carries everything (``QDRANT_GRPC_PORT``); None for REST.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    grpc_port: int | None = None


@dataclass(frozen=True, slots=True)
class Neo4jServer:
    """Where Neo4j is: ``NEO4J_URI``, ``NEO4J_USER`` and ``NEO4J_PASSWORD``."""

    uri: str
    user: str
    password: str = field(repr=False)


def read_qdrant(env: Mapping[str, str]) -> QdrantServer | None:
    """Return where the Qdrant server is; None for the embedded index."""
    url = env.get("QDRANT_URL")
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise InvalidSetting("QDRANT_URL must begin with http:// or https://.")
    return QdrantServer(url, env.get("QDRANT_API_KEY") or None, number(env, "QDRANT_GRPC_PORT", 0) or None)


def read_neo4j(env: Mapping[str, str]) -> Neo4jServer | None:
    """Return where Neo4j is; None for the embedded graph."""
    uri, user, password = (env.get(f"NEO4J_{name}") or "" for name in ("URI", "USER", "PASSWORD"))
    if not uri:
        return None
    if uri.partition("://")[0] not in NEO4J_SCHEMES:
        raise InvalidSetting(f"NEO4J_URI must begin with one of {', '.join(NEO4J_SCHEMES)} and ://.")
    if not (user and password):
        raise InvalidSetting("NEO4J_URI needs NEO4J_USER and NEO4J_PASSWORD beside it.")
    return Neo4jServer(uri, user, password)
