"""Where the servers are that replace embedded stores."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.values import InvalidSetting, WholeNumber, from_text

NEO4J_SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")


def _check_http(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(" must begin with http:// or https://.")
    return text


def _check_neo4j_scheme(text: str) -> str:
    if text.partition("://")[0] not in NEO4J_SCHEMES:
        raise ValueError(f" must begin with one of {', '.join(NEO4J_SCHEMES)} and ://.")
    return text


class QdrantServer(SettingsGroup):
    """Where Qdrant is."""

    url: Annotated[str, from_text(_check_http)] = Field(
        validation_alias="QDRANT_URL",
        description="REST address of a Qdrant server of the client's version, e.g. `http://qdrant:6333`",
        json_schema_extra={"default_text": "Qdrant Edge in the home"},
    )
    api_key: str | None = Field(
        default=None, repr=False, validation_alias="QDRANT_API_KEY", description="key of the Qdrant server"
    )
    grpc_port: Annotated[int | None, WholeNumber()] = Field(
        default=None,
        validation_alias="QDRANT_GRPC_PORT",
        description="gRPC port of the Qdrant server; if set, everything goes over gRPC",
    )


class Neo4jServer(SettingsGroup):
    """Where Neo4j is."""

    uri: Annotated[str, from_text(_check_neo4j_scheme)] = Field(
        validation_alias="NEO4J_URI",
        description="a Neo4j server, 5.7 or newer; while ladybug is written it takes up to twice its file in memory, "
        "at most 4 GiB",
        json_schema_extra={"default_text": "ladybug in the home"},
    )
    user: str = Field(default="", validation_alias="NEO4J_USER", description="user of the Neo4j server")
    password: str = Field(
        default="", repr=False, validation_alias="NEO4J_PASSWORD", description="password of that user"
    )

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if not (self.user and self.password):
            raise InvalidSetting("NEO4J_URI needs NEO4J_USER and NEO4J_PASSWORD beside it.")
        return self


def read_qdrant(env: Mapping[str, str]) -> QdrantServer | None:
    """Return where the Qdrant server is; None for the embedded index."""
    return QdrantServer.read(env) if env.get("QDRANT_URL") else None


def read_neo4j(env: Mapping[str, str]) -> Neo4jServer | None:
    """Return where Neo4j is; None for the embedded graph."""
    return Neo4jServer.read(env) if env.get("NEO4J_URI") else None
