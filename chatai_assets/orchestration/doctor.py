"""Health checks of all services: which implementation is used, whether it responds, and what to do if it does not.

Messages contain no secrets: addresses are shown without users, passwords and queries, and foreign exceptions only by
their class.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import dagster as dg

from chatai_assets.adapters.crawler.browser.limits import RenderError
from chatai_assets.adapters.crawler.browser.process import check_browser, find_chromium
from chatai_assets.adapters.models.base import HealthCheck, ModelInput
from chatai_assets.adapters.ocr.tesseract import INSTALL, LANGUAGES, PROGRAM, TesseractNotFound, find_tesseract
from chatai_assets.domain.errors import ChatAIError, ProviderMisconfigured
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.orchestration.instance import home_instance
from chatai_assets.pipeline.projections.vector_indexes import newer_layout
from chatai_assets.services import Services, open_services
from chatai_assets.settings import Settings

ANSWER_S = 8.0
"""Timeout of stores and providers."""
LOAD_S = 60.0
"""Timeout of models that run in this process: loading their files takes long on busy machines."""
MIGRATED = {"records", "dagster"}
WORDS = "Поезд из Москвы прибыл в Казань."


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of checking a service.

    Attributes:
        implementation: with its address.
        said: why it does not respond, or other information.
        advice: what to do if it does not respond.
        needed: whether other services depend on it.
    """

    part: str
    implementation: str
    answers: bool
    seconds: float
    said: str = ""
    advice: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class _Check:
    part: str
    implementation: str
    ask: Callable[[Services], object]
    advice: str
    is_loaded: bool = False
    needed: bool = True


def diagnose(settings: Settings, answer_s: float = ANSWER_S) -> list[Finding]:
    """Check all services of a home, each with a timeout: those with migrations one by one, then all others at once.

    Alembic keeps its state in module globals, so two migrations cannot run at once in one process.

    Args:
        answer_s: timeout in seconds; models that must be loaded have ``LOAD_S``.
    """
    checks = [*_stores(settings), *_models(settings), _dagster(settings), *_ocr(settings), *_browser(settings)]

    def ask(check: _Check) -> _RunningCheck:
        return _RunningCheck(check, settings, LOAD_S if check.is_loaded else answer_s)

    found = {check.part: ask(check).wait() for check in checks if check.part in MIGRATED}
    answers = [ask(check) for check in checks if check.part not in MIGRATED]
    found |= {finding.part: finding for finding in [answer.wait() for answer in answers]}
    return [found[check.part] for check in checks]


class _RunningCheck:
    """A check that runs in its own thread with its own services, so that one that hangs does not block others."""

    def __init__(self, check: _Check, settings: Settings, timeout_s: float) -> None:
        self._check = check
        self._timeout_s = timeout_s
        self._settings = settings
        self._started_at = time.monotonic()
        self._finished_at: float | None = None
        self._message = ""
        self._thread = threading.Thread(target=self._ask, name=f"doctor {check.part}", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            with open_services(self._settings) as services:
                said = self._check.ask(services)
                self._message, self._finished_at = said if isinstance(said, str) else "", time.monotonic()
        except ChatAIError as error:
            self._message = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the part does not answer
            self._message = f"An unforeseen {type(error).__name__}."

    def wait(self) -> Finding:
        check = self._check
        self._thread.join(max(self._started_at + self._timeout_s - time.monotonic(), 0.0))
        ended, said = self._finished_at, self._message
        if ended is not None:
            took = round(ended - self._started_at, 3)
            return Finding(check.part, check.implementation, answers=True, seconds=took, said=said)
        seconds = round(time.monotonic() - self._started_at, 3)
        said = said or f"No answer within {self._timeout_s:g} s."
        return Finding(
            check.part,
            check.implementation,
            answers=False,
            seconds=seconds,
            said=said,
            advice=check.advice,
            needed=check.needed,
        )


def _stores(settings: Settings) -> Sequence[_Check]:
    home = "Look at the space and the rights of CHATAI_HOME, and whether another process holds its files."
    served = not settings.database_url.startswith("sqlite")
    qdrant, neo4j = settings.qdrant, settings.neo4j
    return [
        _Check(
            "records",
            f"PostgreSQL at {host_and_port(settings.database_url)}" if served else "SQLite in the home",
            lambda services: services.records.check(),
            "Look whether PostgreSQL runs there and takes the user of DATABASE_URL." if served else home,
        ),
        _Check(
            "vectors",
            f"Qdrant at {host_and_port(qdrant.url)}" if qdrant else "Qdrant Edge in the home",
            _ask_vectors,
            "Look whether Qdrant runs there and takes QDRANT_API_KEY." if qdrant else home,
        ),
        _Check(
            "graph",
            f"Neo4j at {host_and_port(neo4j.uri)}" if neo4j else "ladybug in the home",
            lambda services: services.graph.count(),
            "Look whether Neo4j runs there and takes NEO4J_USER and NEO4J_PASSWORD." if neo4j else home,
        ),
        _Check("blobs", "files in the home", lambda services: services.blobs.check(), home),
    ]


def _ask_vectors(services: Services) -> str:
    """Query the active index; report other indexes, and whether the settings name another embedding model."""
    index = services.indexes.serving()
    index.vectors.count()
    words = {"serving": "serves", "filling": "is being filled: `chatai reindex` goes on", "kept": "is kept"}
    known = services.indexes.known()
    said = [f"{each.embedder} {words[each.state]}." for each in known] if len(known) > 1 else []
    wanted, _ = services.resolve_embedder(services.settings.models.embedder)
    if wanted != index.about.embedder and not any(each.state == "filling" for each in known):
        said.append(
            f"The settings say {wanted}, but {index.about.embedder} embeds what is searched: "
            f"`chatai reindex --to {wanted}` changes that."
        )
    said.append(newer_layout(index.about))
    return " ".join(filter(None, said))


def _models(settings: Settings) -> Sequence[_Check]:
    question = [ModelInput(settings.tenant_id, WORDS)]
    models = settings.models
    return [
        _model(
            "tagger", models.tagger, lambda services: services.tagger, lambda services: services.tagger.tag(question)
        ),
        _model(
            "extractor",
            models.extractor,
            lambda services: services.extractor,
            lambda services: services.extractor.extract(question),
        ),
        _model(
            "embedder",
            models.embedder,
            lambda services: services.query_embedder,
            lambda services: services.query_embedder.embed(question),
        ),
    ]


def _model(part: str, name: str, model: Callable[[Services], object], try_out: Callable[[Services], object]) -> _Check:
    """Return the check of a model: providers answer a request that is free of charge, local models process a text."""
    if name not in PROVIDERS:
        return _Check(part, name, try_out, "Install the project again: `make setup`.", is_loaded=True)

    def ask(services: Services) -> None:
        found = model(services)
        if isinstance(found, HealthCheck):
            found.check()

    key = PROVIDERS[name].key_variable
    return _Check(part, name, ask, f"Look at {key} and its account, and whether this machine may reach {name}.")


def _dagster(settings: Settings) -> _Check:
    def ask(_services: Services) -> None:
        with home_instance(settings) as instance:
            instance.get_runs(dg.RunsFilter(), limit=1)

    url = settings.dagster_database_url
    if url:
        advice = "Look whether PostgreSQL runs there and takes the user of DAGSTER_DATABASE_URL."
        return _Check("dagster", f"PostgreSQL at {host_and_port(url)}", ask, advice)
    advice = "Look at the space and the rights of CHATAI_HOME/dagster."
    return _Check("dagster", "SQLite in the home", ask, advice, is_loaded=True)


def _ocr(settings: Settings) -> Sequence[_Check]:
    """Return the check of the OCR program; without it only scans fail."""
    if settings.ocr is None:
        return []
    advice = f"Scans and photos are refused. As root on Debian: {INSTALL}; or set CHATAI_OCR=off."
    return [_Check("ocr", f"{PROGRAM} with {LANGUAGES}", _find_ocr, advice, needed=False)]


def _find_ocr(_services: Services) -> None:
    try:
        find_tesseract()
    except TesseractNotFound as reason:
        raise ProviderMisconfigured(f"{str(reason).capitalize()}.") from reason


def _browser(settings: Settings) -> Sequence[_Check]:
    """Return the check of the browser that renders linked pages; without it they are read without scripts."""
    if not settings.browser:
        return []
    advice = "What scripts write on linked pages is not read. As root on Debian: apt-get install chromium."
    program = find_chromium() or "the Chromium of playwright"
    return [_Check("browser", f"crawl4ai with {program}", _start_browser, advice, is_loaded=True, needed=False)]


def _start_browser(_services: Services) -> None:
    try:
        asyncio.run(check_browser())
    except RenderError as reason:
        raise ProviderMisconfigured(f"{str(reason).capitalize()}.") from reason


def host_and_port(url: str) -> str:
    """Return host and port of a URL, without credentials."""
    try:
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        return "an address that cannot be read"
    return f"{host}:{port}" if port else host or "an address without a host"
