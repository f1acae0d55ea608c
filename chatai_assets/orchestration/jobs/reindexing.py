"""What people ask for when they let another model serve, whether at the command line or in the launchpad."""

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
    """What is asked for: one of the first five, or to go on with what is being filled.

    Attributes:
        to: who shall embed, as ``domain.embedding_model`` writes it.
        rebuild: fill a new index by the same model, with the newest layout.
        back: let the index serve again that did before.
        drop_old: drop the one that is kept for the way back.
        give_up: drop the one that is being filled.
        questions: file to compare by; questions are drawn by ``seed`` if it is empty.
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
    wish: ReindexRequest,
    run_id: str,
    *,
    budget_s: float = float("inf"),
    on_progress: Callable[[str], None] = lambda _: None,
) -> ReindexResult | Index:
    """Do what is asked for; return what came of it, or which index was dropped.

    Args:
        budget_s: seconds after which the rest is left to the next time.

    Raises:
        CannotReindex: it cannot be done; says why.
        Outage: a store or a provider is down.
    """
    if sum(map(bool, (wish.to, wish.rebuild, wish.back, wish.drop_old, wish.give_up))) > 1:
        raise CannotReindex(
            "Ask for one thing: another model, to rebuild, the way back, to drop the old index, or to give up."
        )
    ends, scope = time.monotonic() + budget_s, partial(_stage_config, services.settings, run_id)
    means = ReindexContext(services.records, services.indexes, services.stems, scope, ends, on_progress)
    if wish.drop_old or wish.give_up:
        return drop_old(means) if wish.drop_old else abort(means)
    if wish.questions:  # what is wrong with them is said before all else
        read_questions(Path(wish.questions), services.settings.tenant_id)
    index, wish = _start_or_resume(services, means, wish)
    return reindex(means, index, _eval_queries(services, wish), even_if_worse=wish.even_if_worse)


def _start_or_resume(services: Services, means: ReindexContext, wish: ReindexRequest) -> tuple[Index, ReindexRequest]:
    """Begin what is asked for, and note what that was; or return what was begun."""
    if wish.to or wish.rebuild or wish.back:
        index = _start(services, means, wish)
        with services.records.begin() as connection:
            put_value(connection, CHECKPOINT, asdict(wish))
        return index, wish
    begun = services.indexes.of("filling")
    if begun is None:
        raise CannotReindex("No index is being filled: say by which model one shall be, with --to.")
    with services.records.reading() as connection:
        before = ReindexRequest(**(get_value(connection, CHECKPOINT) or {}))
    even = wish.even_if_worse or before.even_if_worse
    return begun, replace(before, even_if_worse=even, questions=wish.questions or before.questions)


def _start(services: Services, means: ReindexContext, wish: ReindexRequest) -> Index:
    if wish.to:
        return start(means, *_resolve_embedder(services, wish.to))
    return start_rebuild(means) if wish.rebuild else start_rollback(means)


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


def _eval_queries(services: Services, wish: ReindexRequest) -> Callable[[], Sequence[EvalQuery]] | None:
    """Return what gives the questions; None for the way back, which nobody asks to be better."""
    if wish.back:
        return None
    if wish.questions:
        return partial(read_questions, Path(wish.questions), services.settings.tenant_id)
    return partial(sample_queries, services.records, wish.seed)


def _stage_config(settings: Settings, run_id: str, stream: Stream, hour: str) -> StageRunConfig:
    """Return what filling works on at a time, within the limits and attempts of the stage ``embed``."""
    return scope_of(settings, stream, "embed", hour, run_id)


def outcome_sentence(done: ReindexResult) -> str:
    """Return in a sentence what came of it, and what to do if the index does not serve."""
    name, filled = done.index.embedder, done.filled
    if done.serves:
        return f"{name} serves now; the index that served before is kept: `chatai reindex --back`, or `--drop-old`."
    if done.refused:
        return f"{name} does not serve: {done.refused}. `chatai reindex --even-if-worse` lets it, `--give-up` drops it."
    until = f", some of them not before {format_time(filled.until)} UTC" if filled.until else ""
    return f"{name} does not serve yet: {filled.left:,} items are left{until}. `chatai reindex` goes on."


def result_figures(done: ReindexResult) -> dict[str, Any]:
    """Return the figures of a reindexing, as JSON knows them."""
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
"""How long after a run the next one is asked for."""


def reindex_sensor(opened: Callable[[], Services]) -> dg.SensorDefinition:
    """Return the sensor that asks for a run where an index is being filled and something is left to do for it."""

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
