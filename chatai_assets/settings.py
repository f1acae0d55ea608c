"""The only reader of the environment.

``read_settings`` is called in ``definitions.py`` and ``cli.py``; everyone else receives values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chatai_assets.domain.keys import DEFAULT_TENANT, Stage, Stream

PROJECT = Path(__file__).resolve().parent.parent
DAY_S = 86_400
LARGEST_BATCH = 10_000
"""SQLite takes 32,766 values in one statement, and a batch names each item by two."""
POSTS_PER_LOCK = 3_000
DOCUMENTS_PER_LOCK = 50
NEO4J_SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How much of a stream is worked on at once.

    Attributes:
        run_items: items of one run; more wait for the next tick.
        batch_items: items of one transaction.
        projection_items: items whose points or edges are written under one lock of their store, held about a second.
    """

    run_items: int
    batch_items: int
    projection_items: int


@dataclass(frozen=True, slots=True)
class ParserSettings:
    """What a file may cost.

    Attributes:
        workers: child processes that parse side by side.
        wall_s: seconds one file may take.
        memory_bytes: memory of a child.
        max_file_bytes: size of a file that is looked at.
    """

    workers: int
    wall_s: float = 30.0
    memory_bytes: int = 900 << 20
    max_file_bytes: int = 512 << 20


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


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, once.

    Attributes:
        home: folder of all embedded stores, the inbox folder and the blobs (``CHATAI_HOME``).
        database_url: of the record store (``DATABASE_URL``); SQLite in ``home`` by default.
        qdrant: where the vectors are; None for the embedded index in ``home``.
        neo4j: where the graph is; None for the embedded graph in ``home``.
        models: ``offline``, or ``free`` for benchmarks: hashed vectors, first words as tags (``CHATAI_MODELS``).
        model_processes: processes that run offline models; 0 runs them in the caller (``CHATAI_MODEL_PROCESSES``).
        posts: limits of the stream (``CHATAI_RUN_POSTS``, ``CHATAI_BATCH_POSTS``).
        documents: limits of the stream (``CHATAI_RUN_DOCUMENTS``, ``CHATAI_BATCH_DOCUMENTS``).
        lease_s: seconds without heartbeat after which claimed work is free again (``CHATAI_LEASE_S``).
        max_attempts: tries of an item before it is quarantined (``CHATAI_MAX_ATTEMPTS``).
        stage_deadline_s: seconds a stage of one run may take before it is stopped (``CHATAI_STAGE_DEADLINE_S``).
        run_deadline_s: seconds a run may take before Dagster ends it (``CHATAI_RUN_DEADLINE_S``).
        post_ttl_s: seconds after which a post expires; None keeps posts for ever (``CHATAI_POST_TTL_DAYS``).
        tenant_id: whose the files in the inbox folder are (``CHATAI_TENANT``).
        samples: whether the bundled samples are ingested into an empty home (``CHATAI_SAMPLES``).
        first_hour: first partition; None means the hour in which the home was created (``CHATAI_FIRST_HOUR``).
        log_level: least level that is logged (``CHATAI_LOG_LEVEL``).
    """

    home: Path
    database_url: str
    parser: ParserSettings
    qdrant: QdrantServer | None = None
    neo4j: Neo4jServer | None = None
    models: str = "offline"
    model_processes: int = 0
    posts: StreamLimits = field(default_factory=lambda: StreamLimits(2_000, 1_000, POSTS_PER_LOCK))
    documents: StreamLimits = field(default_factory=lambda: StreamLimits(200, 50, DOCUMENTS_PER_LOCK))
    lease_s: float = 60.0
    max_attempts: int = 5
    stage_deadline_s: float = 600.0
    run_deadline_s: int = 3_600
    post_ttl_s: int | None = 30 * DAY_S
    tenant_id: str = DEFAULT_TENANT
    samples: bool = False
    first_hour: str | None = None
    log_level: str = "INFO"

    @property
    def inbox_folder(self) -> Path:
        """Where files are dropped to be ingested."""
        return self.home / "inbox"

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its runs and its copy of ``dagster.yaml``."""
        return self.home / "dagster"

    def limits(self, stream: Stream) -> StreamLimits:
        """Return the limits of a stream."""
        return self.posts if stream == "posts" else self.documents

    def stage_tags(self, stage: Stage) -> dict[str, str]:
        """Return what the UI shows of a stage's limits."""
        return {"chatai/stage": stage, "chatai/deadline_s": f"{self.stage_deadline_s:g}"}


class InvalidSetting(ValueError):
    """A variable that cannot be used; says which and why."""


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this process.

    Args:
        environ: variables; the process's own by default.

    Raises:
        InvalidSetting: a variable has a value that cannot be used.
    """
    env = os.environ if environ is None else environ
    home = Path(env.get("CHATAI_HOME") or PROJECT / ".chatai").expanduser().resolve()
    cores = os.cpu_count() or 1
    ttl_days = _number(env, "CHATAI_POST_TTL_DAYS", 30, least=0)
    return Settings(
        home=home,
        database_url=env.get("DATABASE_URL") or f"sqlite:///{home / 'records.sqlite'}",
        qdrant=_qdrant(env),
        neo4j=_neo4j(env),
        models=_choice(env, "CHATAI_MODELS", ("offline", "free")),
        model_processes=_number(env, "CHATAI_MODEL_PROCESSES", min(cores, 4), least=0),
        posts=StreamLimits(
            _number(env, "CHATAI_RUN_POSTS", 2_000),
            _number(env, "CHATAI_BATCH_POSTS", 1_000, most=LARGEST_BATCH),
            POSTS_PER_LOCK,
        ),
        documents=StreamLimits(
            _number(env, "CHATAI_RUN_DOCUMENTS", 200),
            _number(env, "CHATAI_BATCH_DOCUMENTS", 20, most=LARGEST_BATCH),
            DOCUMENTS_PER_LOCK,
        ),
        parser=ParserSettings(
            workers=_number(env, "CHATAI_PARSER_PROCESSES", min(cores, 4)),
            wall_s=_number(env, "CHATAI_PARSER_DEADLINE_S", 30),
            memory_bytes=_number(env, "CHATAI_PARSER_MEMORY_MB", 900) << 20,
            max_file_bytes=_number(env, "CHATAI_MAX_FILE_MB", 512) << 20,
        ),
        lease_s=_number(env, "CHATAI_LEASE_S", 60),
        max_attempts=_number(env, "CHATAI_MAX_ATTEMPTS", 5),
        stage_deadline_s=_number(env, "CHATAI_STAGE_DEADLINE_S", 600),
        run_deadline_s=_number(env, "CHATAI_RUN_DEADLINE_S", 3_600),
        post_ttl_s=ttl_days * DAY_S or None,
        tenant_id=env.get("CHATAI_TENANT") or DEFAULT_TENANT,
        samples=_choice(env, "CHATAI_SAMPLES", ("0", "1")) == "1",
        first_hour=env.get("CHATAI_FIRST_HOUR") or None,
        log_level=_choice(env, "CHATAI_LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR")),
    )


def _qdrant(env: Mapping[str, str]) -> QdrantServer | None:
    url = env.get("QDRANT_URL")
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise InvalidSetting("QDRANT_URL must begin with http:// or https://.")
    return QdrantServer(url, env.get("QDRANT_API_KEY") or None, _number(env, "QDRANT_GRPC_PORT", 0) or None)


def _neo4j(env: Mapping[str, str]) -> Neo4jServer | None:
    uri, user, password = (env.get(f"NEO4J_{name}") or "" for name in ("URI", "USER", "PASSWORD"))
    if not uri:
        return None
    if uri.partition("://")[0] not in NEO4J_SCHEMES:
        raise InvalidSetting(f"NEO4J_URI must begin with one of {', '.join(NEO4J_SCHEMES)} and ://.")
    if not (user and password):
        raise InvalidSetting("NEO4J_URI needs NEO4J_USER and NEO4J_PASSWORD beside it.")
    return Neo4jServer(uri, user, password)


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name) or allowed[0]
    if value not in allowed:
        raise InvalidSetting(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def _number(env: Mapping[str, str], name: str, default: int, least: int = 1, most: int = 1_000_000_000) -> int:
    value = env.get(name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise InvalidSetting(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)
