"""Reindexing as requested on the command line or in the launchpad, and the sensor that resumes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from chatai_assets.adapters.models.base import Embedder
from chatai_assets.domain.circuit_breaker import format_time
from chatai_assets.domain.embedding_model import parse_embedding_model
from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.ids import Stream
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.operations.reindexing import (
    CannotReindex,
    ReindexContext,
    ReindexResult,
    abort,
    drop_old,
    is_building,
    reindex,
    start,
    start_rebuild,
    start_rollback,
)
from chatai_assets.operations.relevance import EvalQuery, read_questions, sample_queries
from chatai_assets.orchestration.runs import OPEN
from chatai_assets.orchestration.stage_runs import scope_of
from chatai_assets.pipeline.engine import StageRunConfig
from chatai_assets.services import Services
from chatai_assets.settings import Settings
from chatai_assets.storage.key_values import get_value, put_value
from chatai_assets.storage.vector_indexes import Index

CHECKPOINT = "wish for another index"


@dataclass(frozen=True, slots=True)
class ReindexRequest:
    """What to do: one of the first five, or resume the build if none is set.

    Attributes:
        to: embedding model of the new index, in the syntax of ``domain.embedding_model``.
        rebuild: build a new index by the same model, with the newest layout.
        back: activate the previous index again.
        drop_old: drop the standby index.
        give_up: abort the build and drop the new index.
        questions: file of questions to compare by; if empty, questions are sampled with ``seed``.
    """

    to: str = ""
    rebuild: bool = False
    back: bool = False
    drop_old: bool = False
    give_up: bool = False
    even_if_worse: bool = False
    questions: str = ""
    seed: int = 1


def execute(
    services: Services,
    request: ReindexRequest,
    run_id: str,
    *,
    budget_s: float = float("inf"),
    on_progress: Callable[[str], None] = lambda _: None,
) -> ReindexResult | Index:
    """Execute a request; return the result, or the index that was dropped.

    Args:
        budget_s: seconds after which the rest is left to the next call.

    Raises:
        CannotReindex: the request cannot be executed; the message says why.
        Outage: a store or a provider is unavailable.
    """
    if sum(map(bool, (request.to, request.rebuild, request.back, request.drop_old, request.give_up))) > 1:
        raise CannotReindex(
            "Ask for one thing: another model, to rebuild, the way back, to drop the old index, or to give up."
        )
    ends, scope = time.monotonic() + budget_s, partial(_stage_config, services.settings, run_id)
    context = ReindexContext(services.records, services.indexes, services.stems, scope, ends, on_progress)
    if request.drop_old or request.give_up:
        return drop_old(context) if request.drop_old else abort(context)
    if request.questions:  # errors in the file are reported before anything is done
        read_questions(Path(request.questions), services.settings.tenant_id)
    index, request = _start_or_resume(services, context, request)
    return reindex(context, index, _eval_queries(services, request), even_if_worse=request.even_if_worse)


def _start_or_resume(
    services: Services, context: ReindexContext, request: ReindexRequest
) -> tuple[Index, ReindexRequest]:
    """Start the requested build and store the request; or return the build in progress with its request."""
    if request.to or request.rebuild or request.back:
        index = _start(services, context, request)
        with services.records.begin() as connection:
            put_value(connection, CHECKPOINT, asdict(request))
        return index, request
    building = services.indexes.of("filling")
    if building is None:
        raise CannotReindex("No index is being filled: say by which model one shall be, with --to.")
    with services.records.reading() as connection:
        before = ReindexRequest(**(get_value(connection, CHECKPOINT) or {}))
    even_if_worse = request.even_if_worse or before.even_if_worse
    return building, replace(before, even_if_worse=even_if_worse, questions=request.questions or before.questions)


def _start(services: Services, context: ReindexContext, request: ReindexRequest) -> Index:
    if request.to:
        return start(context, *_resolve_embedder(services, request.to))
    return start_rebuild(context) if request.rebuild else start_rollback(context)


def _resolve_embedder(services: Services, name: str) -> tuple[str, Embedder]:
    try:
        named = services.resolve_embedder(name)
    except ValueError as error:
        raise CannotReindex(str(error)) from None
    wanted, costs = parse_embedding_model(named[0]), services.settings.costs
    is_held = costs.budget.money_nano is None or costs.budget.tokens is not None
    provider = PROVIDERS.get(wanted.name)
    if provider and not provider.reports_costs and not is_held and wanted.model not in costs.tariff.prices:
        raise CannotReindex(
            f"CHATAI_BUDGET_DAY holds nothing back without the price of {wanted.model!r}: CHATAI_PRICES."
        )
    return named


def _eval_queries(services: Services, request: ReindexRequest) -> Callable[[], Sequence[EvalQuery]] | None:
    """Return the function that loads the questions; None for a rollback, which needs no comparison."""
    if request.back:
        return None
    if request.questions:
        return partial(read_questions, Path(request.questions), services.settings.tenant_id)
    return partial(sample_queries, services.records, request.seed)


def _stage_config(settings: Settings, run_id: str, stream: Stream, hour: str) -> StageRunConfig:
    """Return the configuration of building an index: the limits and attempts of the stage ``embed``."""
    return scope_of(settings, stream, "embed", hour, run_id)


def outcome_sentence(done: ReindexResult) -> str:
    """Return the outcome in a sentence, and what to do if the index is not active."""
    name, filled = done.index.embedder, done.filled
    if done.serves:
        return f"{name} serves now; the index that served before is kept: `chatai reindex --back`, or `--drop-old`."
    if done.refused:
        return f"{name} does not serve: {done.refused}. `chatai reindex --even-if-worse` lets it, `--give-up` drops it."
    until = f", some of them not before {format_time(filled.until)} UTC" if filled.until else ""
    return f"{name} does not serve yet: {filled.left:,} items are left{until}. `chatai reindex` goes on."


def result_figures(done: ReindexResult) -> dict[str, Any]:
    """Return the figures of a reindexing for JSON."""
    compared = done.comparison
    retrieval = (
        {
            when: {
                way: {"recall_at_10": figures.recall, "reciprocal_rank": figures.rank} for way, figures in ways.items()
            }
            for when, ways in (("before", compared.before), ("after", compared.after))
        }
        if compared
        else None
    )
    return {
        "embedder": done.index.embedder,
        "model": done.index.model,
        "dimensions": done.index.dimensions,
        "index": done.index.number,
        "serves": done.serves,
        "refused": done.refused,
        "items": done.filled.items,
        "left": done.filled.left,
        "failed": done.filled.failed,
        "texts_embedded": done.filled.counts["texts_embedded"],
        "points_written": done.filled.counts["points_written"],
        "points_deleted": done.filled.counts["points_deleted"],
        "questions": compared.questions if compared else 0,
        "retrieval": retrieval,
        "seconds": round(done.seconds, 3),
    }


INTERVAL_S = 30
AGAIN_S = 300.0
"""Seconds from a run until the next one is requested."""


def reindex_sensor(opened: Callable[[], Services]) -> dg.SensorDefinition:
    """Return the sensor that requests a run while an index is being built."""

    @dg.sensor(
        name="filling",
        job_name="reindex",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a run that goes on where a vector index is being filled.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            if not is_building(opened().records):
                return dg.SkipReason("No index waits to be filled.")
        except ChatAIError as error:
            return dg.SkipReason(str(error))
        latest = context.instance.get_run_records(dg.RunsFilter(job_name="reindex"), limit=1)
        if latest and latest[0].dagster_run.status in OPEN:
            return dg.SkipReason("A run is open.")
        if latest and time.time() - (latest[0].end_time or 0) < AGAIN_S:
            return dg.SkipReason("The next run is asked for five minutes after the last one.")
        return dg.RunRequest()

    return sensor
