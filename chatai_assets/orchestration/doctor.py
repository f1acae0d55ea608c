"""Whether each part answers, which implementation it is, and what to do if it does not.

Nothing that is said holds a secret: addresses are told without users, passwords and queries, and of exceptions that
are not ours only the class.
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
"""Of stores and providers."""
LOAD_S = 60.0
"""Of models in this process: their files are read first, on machines that are busy."""
MIGRATED = {"records", "dagster"}
WORDS = "Поезд из Москвы прибыл в Казань."


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a part.

    Attributes:
        implementation: and where it is.
        said: why it does not answer, or what else is to be known.
        advice: what to do then.
        needed: whether anything else works without it.
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
    """Ask every part of a home, each for as long as it may take: those with migrations first, then all at once.

    Alembic keeps what it works on in its module: two migrations at once in one process get into each other.

    Args:
        answer_s: seconds; what must be loaded first has ``LOAD_S``.
    """
    checks = [*_stores(settings), *_models(settings), _dagster(settings), *_ocr(settings), *_browser(settings)]

    def ask(check: _Check) -> _RunningCheck:
        return _RunningCheck(check, settings, LOAD_S if check.is_loaded else answer_s)

    found = {check.part: ask(check).wait() for check in checks if check.part in MIGRATED}
    answers = [ask(check) for check in checks if check.part not in MIGRATED]
    found |= {finding.part: finding for finding in [answer.wait() for answer in answers]}
    return [found[check.part] for check in checks]


class _RunningCheck:
    """What comes of a check, in a thread and with parts of its own: one that hangs holds up no other."""

    def __init__(self, check: _Check, settings: Settings, patience_s: float) -> None:
        self._check = check
        self._patience_s = patience_s
        self._settings = settings
        self._began = time.monotonic()
        self._ended: float | None = None
        self._said = ""
        self._thread = threading.Thread(target=self._ask, name=f"doctor {check.part}", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            with open_services(self._settings) as services:
                said = self._check.ask(services)
                self._said, self._ended = said if isinstance(said, str) else "", time.monotonic()
        except ChatAIError as error:
            self._said = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the part does not answer
            self._said = f"An unforeseen {type(error).__name__}."

    def wait(self) -> Finding:
        check = self._check
        self._thread.join(max(self._began + self._patience_s - time.monotonic(), 0.0))
        ended, said = self._ended, self._said
        if ended is not None:
            took = round(ended - self._began, 3)
            return Finding(check.part, check.implementation, answers=True, seconds=took, said=said)
        seconds = round(time.monotonic() - self._began, 3)
        said = said or f"No answer within {self._patience_s:g} s."
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
    """Ask the index that serves, and say what else there is, and whether the settings would have it otherwise."""
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
    """Return the check of a model: a provider is asked for something that costs nothing, all others are tried out."""
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
    """Return the check of the program that reads scans; without it they fail, and nothing else."""
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
    """Return the check of the browser that shows linked pages; without it they are read as they are fetched."""
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
    """Return host and port of an address, and nothing of who may enter there."""
    try:
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        return "an address that cannot be read"
    return f"{host}:{port}" if port else host or "an address without a host"
