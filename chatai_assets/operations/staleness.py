"""Stale results: made with another model, prompt or code than the active ones; what redoing them costs, and redoing.

They are never redone automatically: they are still correct by the rules with which they were made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chatai_assets.domain.costs import CHARS_PER_TOKEN, NANO, Tariff, Usage
from chatai_assets.domain.embedding_model import parse_embedding_model
from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.domain.stages import PAID_STAGES, PIPELINE_STAGES, STAGES, ModelRole, Stage, downstream_of
from chatai_assets.domain.tagging import TAGGED_CHARS
from chatai_assets.llm.models import PROMPT_TOKENS
from chatai_assets.operations.status import REDO_NOTE
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.storage import dead_letters
from chatai_assets.storage import staleness as stale
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records, Transaction

BATCH_ITEMS = 500
"""Items per transaction."""


@dataclass(frozen=True, slots=True)
class ActiveVersions:
    """The models in use.

    Attributes:
        tagger: model key of its results, like ``extractor``, and like ``embedder`` of the active index.
        priced: stage -> name under which the tariff knows the model that it asks; without those that cost nothing.
    """

    tagger: str
    extractor: str
    embedder: str
    priced_models: Mapping[Stage, str]

    def fingerprint(self, stream: Stream, stage: Stage) -> str:
        """Return the fingerprint of a stage's results as they are computed now."""
        spec = STAGES[stage]
        if spec.fingerprint_by_stream:
            return spec.fingerprint(stream)
        return spec.fingerprint(*([self._models()[spec.model]] if spec.model else []))

    def _models(self) -> dict[ModelRole, str]:
        return {"tagger": self.tagger, "extractor": self.extractor, "embedder": self.embedder}


def active_versions(services: StageServices) -> ActiveVersions:
    """Return the models a home computes with, and under which names the tariff knows those that cost something."""
    settings, index = services.settings, services.indexes.serving_now()
    chat = {name: access.chat_model for name, access in settings.providers.items()}
    models: dict[ModelRole, str | None] = {
        "tagger": chat.get(settings.models.tagger),
        "extractor": chat.get(settings.models.extractor),
        "embedder": parse_embedding_model(index.embedder).model or None,
    }
    paid = [(stage, STAGES[stage].model) for stage in PAID_STAGES]
    priced = {stage: model for stage, role in paid if role and (model := models[role])}
    return ActiveVersions(services.tagger.model, services.extractor.model, index.model, priced)


@dataclass(frozen=True, slots=True)
class StaleStage:
    """The stale items of a stage.

    Attributes:
        tokens: estimate of the tokens that redoing them takes, rather too high.
        money: the same in the unit of the prices; None if no price is known.
    """

    stage: Stage
    posts: int
    documents: int
    tokens: int
    money: float | None

    @property
    def items(self) -> int:
        """Posts and documents."""
        return self.posts + self.documents


def find_stale(records: Records, active: ActiveVersions, tariff: Tariff) -> list[StaleStage]:
    """Return the stale items of every stage, also of stages that have none."""
    with records.reading() as connection:
        return [_stage_staleness(connection, stage, active, tariff) for stage in PIPELINE_STAGES]


def _stage_staleness(connection: Transaction, stage: Stage, active: ActiveVersions, tariff: Tariff) -> StaleStage:
    current = {stream: active.fingerprint(stream, stage) for stream in STREAMS}
    posts, documents = (stale.count_stale(connection, stream, stage, current[stream]) for stream in STREAMS)
    model = active.priced_models.get(stage)
    if model is None or not posts + documents:
        return StaleStage(stage, posts, documents, 0, 0.0)
    usages = [_estimate_usage(connection, stream, stage, current[stream], active) for stream in STREAMS]
    usage = Usage(sum(each.prompt for each in usages), 0, sum(each.embedding for each in usages))
    nano = tariff.money_nano(model, usage) if usage.tokens else 0
    return StaleStage(stage, posts, documents, usage.tokens, None if nano is None else nano / NANO)


def _estimate_usage(
    connection: Transaction, stream: Stream, stage: Stage, current: str, active: ActiveVersions
) -> Usage:
    if stage == "embed":
        chars = stale.chars_to_embed(connection, stream, stage, current, active.embedder)
        return Usage(embedding=chars // CHARS_PER_TOKEN)
    if stage == "tag":
        texts, chars = stale.chars_of_items(connection, stream, stage, current, TAGGED_CHARS)
    else:
        texts, chars = stale.chars_of_chunks(connection, stream, stage, current)
    return Usage(prompt=chars // CHARS_PER_TOKEN + texts * PROMPT_TOKENS)


def redo_stale(
    records: Records, active: ActiveVersions, stage: Stage, limit: int, clock: Callable[[], float] = time.time
) -> int:
    """Make stale items pending again from a stage on, the oldest first; return how many.

    They are then processed like all pending work, within rate limits and budgets.

    Args:
        limit: maximum number of items.
    """
    again = (stage, *downstream_of(stage))
    done = 0
    for stream in STREAMS:
        current = active.fingerprint(stream, stage)
        while done < limit:
            with records.begin() as connection:
                keys = stale.some_stale(connection, stream, stage, current, min(BATCH_ITEMS, limit - done))
                for key in keys:
                    work.redo(connection, key, stage, now=clock())
                    dead_letters.resolve_items(connection, key.tenant_id, [key.source_key], REDO_NOTE, stages=again)
            if not keys:
                break
            done += len(keys)
    return done
