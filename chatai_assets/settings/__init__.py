"""The only reader of the environment.

``read_settings`` is called in ``definitions.py`` and ``cli.main``; all other code receives values. Each setting is a
field of a group (``settings.group``), which is the only home of its default.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import Field, SkipValidation

from chatai_assets.domain.ids import DEFAULT_TENANT, Stream
from chatai_assets.domain.stages import STAGES, Stage
from chatai_assets.settings.costs import CostSettings, read_costs
from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.limits import (
    DocumentLimits,
    OcrSettings,
    ParserSettings,
    PostLimits,
    StreamLimits,
    default_processes,
)
from chatai_assets.settings.models import ModelSettings, QuotaSettings, read_models
from chatai_assets.settings.providers import ProviderSettings, read_providers
from chatai_assets.settings.retention import RetentionSettings
from chatai_assets.settings.stages import StageLimits, read_stages
from chatai_assets.settings.stores import Neo4jServer, QdrantServer, read_neo4j, read_qdrant
from chatai_assets.settings.values import (
    Addresses,
    InvalidSetting,
    Seconds,
    Switch,
    WholeNumber,
    WholeSeconds,
    from_text,
    one_of,
)

PROJECT = Path(__file__).resolve().parents[2]


class Settings(SettingsGroup):
    """Everything that can be set.

    Attributes:
        qdrant: where the vectors are; None for the embedded index in ``home``.
        neo4j: where the graph is; None for the embedded graph in ``home``.
        providers: name -> access of every provider whose key is set.
        ocr: how scans and photos are read; None where they are refused.
        stages: deadline and attempts of each stage.
    """

    home: Annotated[Path, from_text(lambda text: Path(text).expanduser().resolve())] = Field(
        default=PROJECT / ".chatai",
        validation_alias="CHATAI_HOME",
        description="folder of all embedded stores, the inbox folder and uploaded bytes",
        json_schema_extra={"default_text": "`.chatai`"},
    )
    database_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['home'] / 'records.sqlite'}",
        repr=False,
        validation_alias="DATABASE_URL",
        description="the record store, e.g. `postgresql://user:password@host/database`",
        json_schema_extra={"default_text": "SQLite in the home"},
    )
    dagster_database_url: str | None = Field(
        default=None,
        repr=False,
        validation_alias="DAGSTER_DATABASE_URL",
        description="Dagster's history, of `make run` and `chatai` too; bare `dagster dev` needs "
        "`deploy/dagster.yaml` in `DAGSTER_HOME`",
        json_schema_extra={"default_text": "SQLite in the home"},
    )
    qdrant: QdrantServer | None
    neo4j: Neo4jServer | None
    models: ModelSettings
    providers: Mapping[str, SkipValidation[ProviderSettings]]
    quota: QuotaSettings
    costs: CostSettings
    model_processes: Annotated[int, WholeNumber(least=0)] = Field(
        default_factory=default_processes,
        validation_alias="CHATAI_MODEL_PROCESSES",
        description="child processes that run offline models; 0 runs them in the caller",
        json_schema_extra={"default_text": "one per core, at most 4"},
    )
    parser: ParserSettings
    ocr: OcrSettings | None
    posts: StreamLimits
    documents: StreamLimits
    crawl_mode: Annotated[str, one_of("0", "1", "browser")] = Field(
        default="0",
        validation_alias="CHATAI_CRAWL",
        description="1 reads the first three pages that a post links to and finds their text as the post's; sites then "
        "learn who reads them. `browser` renders them in Chromium first, for texts that scripts write: a second or "
        "two a page, after `make browser`; it is not in the image",
    )
    retention: RetentionSettings
    lease_s: Seconds = Field(
        default=60,
        validation_alias="CHATAI_LEASE_S",
        description="how long claimed work stays claimed without a heartbeat",
    )
    stages: Mapping[Stage, StageLimits]
    item_deadline_s: Seconds = Field(
        default=300, validation_alias="CHATAI_ITEM_DEADLINE_S", description="how long a model may take for one item"
    )
    run_deadline_s: WholeSeconds = Field(
        default=3_600,
        validation_alias="CHATAI_RUN_DEADLINE_S",
        description="how long a run may take before Dagster ends it",
    )
    grace_s: Seconds = Field(
        default=3,
        validation_alias="CHATAI_GRACE_S",
        description="how long a stage may clean up after its deadline before its process is ended",
    )
    announce: Addresses = Field(
        default=(),
        repr=False,
        validation_alias="CHATAI_ANNOUNCE",
        description="who is notified of outages, in addition to the log: "
        "[apprise URLs](https://github.com/caronc/apprise/wiki) with spaces between them, e.g. "
        "`tgram://token/chat json://host/path mailtos://user:password@host`",
    )
    sentry_dsn: str | None = Field(
        default=None,
        repr=False,
        validation_alias="SENTRY_DSN",
        description="a project of Sentry that gets the same notifications, and unforeseen errors of runs without texts",
    )
    probe_interval_s: Seconds = Field(
        default=360,
        validation_alias="CHATAI_PROBE_INTERVAL_S",
        description="between runs that try whether what is down is back; the first come after 60, 120 and 240 s",
    )
    tenant_id: str = Field(
        default=DEFAULT_TENANT, validation_alias="CHATAI_TENANT", description="whose the files in the inbox folder are"
    )
    samples: Switch = Field(
        default=False,
        validation_alias="CHATAI_SAMPLES",
        description="1 brings the bundled samples into an empty home",
        json_schema_extra={"default_text": "0; `make run` sets 1"},
    )
    first_hour: str | None = Field(
        default=None,
        validation_alias="CHATAI_FIRST_HOUR",
        description="the first partition, e.g. `2026-11-21-00:00`",
        json_schema_extra={"default_text": "when the home was created"},
    )
    log_level: Annotated[str, one_of("INFO", "DEBUG", "WARNING", "ERROR")] = Field(
        default="INFO", validation_alias="CHATAI_LOG_LEVEL", description="`INFO`, `DEBUG`, `WARNING` or `ERROR`"
    )

    @property
    def inbox_folder(self) -> Path:
        """Where files are dropped to be ingested."""
        return self.home / "inbox"

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its runs and its copy of ``dagster.yaml``."""
        return self.home / "dagster"

    @property
    def crawl(self) -> bool:
        """Whether the pages that posts link to are read."""
        return self.crawl_mode != "0"

    @property
    def browser(self) -> bool:
        """Whether a browser renders linked pages before they are read."""
        return self.crawl_mode == "browser"

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
    models, providers, ocr = read_models(env), read_providers(env), OcrSettings.read(env)
    settings = Settings.read(
        env,
        qdrant=read_qdrant(env),
        neo4j=read_neo4j(env),
        models=models,
        providers=providers,
        quota=QuotaSettings.read(env),
        costs=read_costs(env, models, providers),
        parser=ParserSettings.read(env),
        ocr=ocr if ocr.mode == "auto" else None,
        posts=PostLimits.read(env),
        documents=DocumentLimits.read(env),
        retention=RetentionSettings.read(env),
        stages=read_stages(env),
    )
    if settings.browser and find_spec("crawl4ai") is None:  # to import it takes seconds
        raise InvalidSetting("CHATAI_CRAWL is browser, so crawl4ai must be installed: `make browser`.")
    return settings
