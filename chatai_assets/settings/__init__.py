"""The only reader of the environment.

``read_settings`` is called in ``definitions.py`` and ``cli.py``; everyone else receives values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from chatai_assets.domain.ids import DEFAULT_TENANT, Stream
from chatai_assets.domain.stages import STAGES, Stage
from chatai_assets.settings.costs import CostSettings, read_costs
from chatai_assets.settings.models import (
    ModelSettings,
    QuotaSettings,
    read_models,
    read_quota,
)
from chatai_assets.settings.providers import ProviderSettings, read_providers
from chatai_assets.settings.retention import RetentionSettings, read_retention
from chatai_assets.settings.stages import DEFAULT_ITEM_DEADLINE_S, StageLimits, read_stages, usual_stages
from chatai_assets.settings.stores import Neo4jServer, QdrantServer, read_neo4j, read_qdrant
from chatai_assets.settings.values import InvalidSetting, addresses, choice, number

PROJECT = Path(__file__).resolve().parents[2]
LARGEST_BATCH = 10_000
"""SQLite takes 32,766 values in one statement, and a batch names each item by two."""
POSTS_PER_LOCK = 3_000
DOCUMENTS_PER_LOCK = 50


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
class OcrSettings:
    """What recognising the text on scans and photos may cost.

    Attributes:
        max_pages: pages of one document (``CHATAI_OCR_PAGES``).
        page_s: seconds one page may take (``CHATAI_OCR_PAGE_DEADLINE_S``).
        patience_s: seconds the scans of one batch may take; the next goes on (``CHATAI_OCR_PATIENCE_S``).
    """

    max_pages: int = 200
    page_s: int = 60
    max_wait_s: int = 120


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, once.

    Attributes:
        home: folder of all embedded stores, the inbox folder and the blobs (``CHATAI_HOME``).
        database_url: of the record store (``DATABASE_URL``); SQLite in ``home`` by default.
        ocr: how scans and photos are read; None where they are not (``CHATAI_OCR``).
        dagster_database_url: of Dagster's history (``DAGSTER_DATABASE_URL``); None for SQLite in ``home``.
        qdrant: where the vectors are; None for the embedded index in ``home``.
        neo4j: where the graph is; None for the embedded graph in ``home``.
        models: who tags, embeds and extracts; ``CHATAI_MODELS`` sets all three to ``offline`` or to ``free``.
        providers: name -> access of every provider whose key is set.
        quota: of each tenant at each provider.
        costs: what models cost, and what a tenant may spend in a day.
        model_processes: processes that run offline models; 0 runs them in the caller (``CHATAI_MODEL_PROCESSES``).
        posts: limits of the stream (``CHATAI_RUN_POSTS``, ``CHATAI_BATCH_POSTS``).
        documents: limits of the stream (``CHATAI_RUN_DOCUMENTS``, ``CHATAI_BATCH_DOCUMENTS``).
        lease_s: seconds without heartbeat after which claimed work is free again (``CHATAI_LEASE_S``).
        probe_interval_s: seconds from one run that tries a part that is down to the next; the first ones come sooner
            (``CHATAI_PROBE_INTERVAL_S``).
        stages: deadline and attempts of each stage (``CHATAI_STAGE_DEADLINE_S``, ``CHATAI_MAX_ATTEMPTS``, and each with
            ``_TAG`` or another stage behind it).
        item_deadline_s: seconds a model may take over one item (``CHATAI_ITEM_DEADLINE_S``).
        grace_s: seconds a stage has to clean up after its deadline before its process is ended (``CHATAI_GRACE_S``).
        run_deadline_s: seconds a run may take before Dagster ends it (``CHATAI_RUN_DEADLINE_S``).
        retention: how long posts, documents and what is told of them are kept.
        tenant_id: whose the files in the inbox folder are (``CHATAI_TENANT``).
        crawl: whether the pages that posts link to are read (``CHATAI_CRAWL``).
        browser: whether a browser shows them first (``CHATAI_CRAWL=browser``).
        samples: whether the bundled samples are ingested into an empty home (``CHATAI_SAMPLES``).
        first_hour: first partition; None means the hour in which the home was created (``CHATAI_FIRST_HOUR``).
        announce: channels that are told of outages, in apprise's notation, secret (``CHATAI_ANNOUNCE``).
        sentry_dsn: project of Sentry that is told the same, secret (``SENTRY_DSN``).
        log_level: least level that is logged (``CHATAI_LOG_LEVEL``).
    """

    home: Path
    database_url: str
    parser: ParserSettings
    ocr: OcrSettings | None = None
    dagster_database_url: str | None = field(default=None, repr=False)
    qdrant: QdrantServer | None = None
    neo4j: Neo4jServer | None = None
    models: ModelSettings = field(default_factory=ModelSettings)
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    quota: QuotaSettings = field(default_factory=QuotaSettings)
    costs: CostSettings = field(default_factory=CostSettings)
    model_processes: int = 0
    posts: StreamLimits = field(default_factory=lambda: StreamLimits(2_000, 1_000, POSTS_PER_LOCK))
    documents: StreamLimits = field(default_factory=lambda: StreamLimits(200, 50, DOCUMENTS_PER_LOCK))
    lease_s: float = 60.0
    probe_interval_s: float = 360.0
    stages: Mapping[Stage, StageLimits] = field(default_factory=usual_stages)
    item_deadline_s: float = DEFAULT_ITEM_DEADLINE_S
    grace_s: float = 3.0
    run_deadline_s: int = 3_600
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    tenant_id: str = DEFAULT_TENANT
    crawl: bool = False
    browser: bool = False
    samples: bool = False
    first_hour: str | None = None
    announce: tuple[str, ...] = field(default=(), repr=False)
    sentry_dsn: str | None = field(default=None, repr=False)
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
        return {"chatai/stage": stage, **self.deadline_tags(stage)}

    def deadline_tags(self, stage: Stage) -> dict[str, str]:
        """Return how long a stage may take, and an item of it where it has a limit of its own, in seconds."""
        tags = {"chatai/deadline_s": f"{self.stages[stage].deadline_s:g}"}
        of_an_item = self.parser.wall_s if STAGES[stage].dependency == "parser" else self.item_deadline_s
        return tags | ({"chatai/item_deadline_s": f"{of_an_item:g}"} if STAGES[stage].has_item_deadline else {})


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
    models, providers = read_models(env), read_providers(env)
    crawl = _read_crawl(env)
    return Settings(
        home=home,
        database_url=env.get("DATABASE_URL") or f"sqlite:///{home / 'records.sqlite'}",
        dagster_database_url=env.get("DAGSTER_DATABASE_URL") or None,
        qdrant=read_qdrant(env),
        neo4j=read_neo4j(env),
        models=models,
        providers=providers,
        quota=read_quota(env),
        costs=read_costs(env, models, providers),
        model_processes=number(env, "CHATAI_MODEL_PROCESSES", min(cores, 4), least=0),
        posts=StreamLimits(
            number(env, "CHATAI_RUN_POSTS", 2_000),
            number(env, "CHATAI_BATCH_POSTS", 1_000, most=LARGEST_BATCH),
            POSTS_PER_LOCK,
        ),
        documents=StreamLimits(
            number(env, "CHATAI_RUN_DOCUMENTS", 200),
            number(env, "CHATAI_BATCH_DOCUMENTS", 20, most=LARGEST_BATCH),
            DOCUMENTS_PER_LOCK,
        ),
        parser=ParserSettings(
            workers=number(env, "CHATAI_PARSER_PROCESSES", min(cores, 4)),
            wall_s=number(env, "CHATAI_PARSER_DEADLINE_S", 30),
            memory_bytes=number(env, "CHATAI_PARSER_MEMORY_MB", 900) << 20,
            max_file_bytes=number(env, "CHATAI_MAX_FILE_MB", 512) << 20,
        ),
        ocr=_read_ocr(env),
        lease_s=number(env, "CHATAI_LEASE_S", 60),
        probe_interval_s=number(env, "CHATAI_PROBE_INTERVAL_S", 360),
        stages=read_stages(env),
        item_deadline_s=number(env, "CHATAI_ITEM_DEADLINE_S", DEFAULT_ITEM_DEADLINE_S),
        grace_s=number(env, "CHATAI_GRACE_S", 3),
        run_deadline_s=number(env, "CHATAI_RUN_DEADLINE_S", 3_600),
        retention=read_retention(env),
        tenant_id=env.get("CHATAI_TENANT") or DEFAULT_TENANT,
        crawl=crawl != "0",
        browser=crawl == "browser",
        samples=choice(env, "CHATAI_SAMPLES", ("0", "1")) == "1",
        first_hour=env.get("CHATAI_FIRST_HOUR") or None,
        announce=addresses(env, "CHATAI_ANNOUNCE"),
        sentry_dsn=env.get("SENTRY_DSN") or None,
        log_level=choice(env, "CHATAI_LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR")),
    )


def _read_crawl(env: Mapping[str, str]) -> str:
    crawl = choice(env, "CHATAI_CRAWL", ("0", "1", "browser"))
    if crawl == "browser" and find_spec("crawl4ai") is None:  # to import it takes seconds
        raise InvalidSetting("CHATAI_CRAWL is browser, so crawl4ai must be installed: `make browser`.")
    return crawl


def _read_ocr(env: Mapping[str, str]) -> OcrSettings | None:
    usual = OcrSettings()
    wanted = OcrSettings(
        number(env, "CHATAI_OCR_PAGES", usual.max_pages),
        number(env, "CHATAI_OCR_PAGE_DEADLINE_S", usual.page_s),
        number(env, "CHATAI_OCR_PATIENCE_S", usual.max_wait_s),
    )
    return wanted if choice(env, "CHATAI_OCR", ("auto", "off")) == "auto" else None
