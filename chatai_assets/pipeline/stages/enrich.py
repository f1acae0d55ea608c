"""Chunks -> entities and relations, each with the chunk it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

from chatai_assets.adapters.models.base import CostLabel, Extractor, ModelInput, pop_usage_of, uses_cache_key
from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.extraction import Extraction, check_extraction
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.stages import STAGES
from chatai_assets.pipeline.engine import BatchResult, StageReport, StageRunConfig, run_batches
from chatai_assets.pipeline.item_errors import answers_to, attempt, note_failure
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.storage import enrichment
from chatai_assets.storage import items as content
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.enrichment import EntityRow, RelationRow
from chatai_assets.storage.items import ChunkWithText
from chatai_assets.storage.llm_responses import link_results

SPEC = STAGES["enrich"]

Fact = TypeVar("Fact", EntityRow, RelationRow)


def run(config: StageRunConfig, services: StageServices) -> StageReport:
    """Find the entities and relations of what is due."""
    return run_batches(config, services.records, EnrichHandler(config, services.records, services.extractor))


class EnrichHandler:
    """Handler of the stage ``enrich``."""

    spec = SPEC

    def __init__(self, config: StageRunConfig, records: Records, extractor: Extractor) -> None:
        self.cost_label = CostLabel(config.stream, config.hour)
        self.records = records
        self.extractor = extractor
        self.fingerprint = SPEC.fingerprint(extractor.model)

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        enrichment.forget_facts(connection, failures.keys())

    def process_batch(self, owner: str) -> BatchResult:
        with self.records.reading() as connection:
            keys = [ItemKey.of(row) for row in content.claimed_work(connection, owner)]
            chunks = content.claimed_texts(connection, owner, pages=False)
        asked = [
            (ItemKey.of(chunk), ModelInput(chunk["tenant_id"], chunk["text"], self.cost_label)) for chunk in chunks
        ]
        answers = answers_to(self.extractor.extract, [question for _, question in asked])
        result = BatchResult(write=lambda _connection, _keys: None, requeue={"link": keys})
        names: dict[tuple[str, ...], EntityRow] = {}
        ties: dict[tuple[str, ...], RelationRow] = {}
        for chunk, answer in zip(chunks, answers, strict=True):
            key = ItemKey.of(chunk)
            if isinstance(answer, Exception):
                note_failure(answer, key, result)
                continue
            said = attempt(partial(check_extraction, answer, chunk["text"]), key, result)
            if said:
                _collect(chunk, said, names, ties)
        _complete(result, owner, keys, names, ties, uses_cache_key(self.extractor, asked))
        result.counts.update(pop_usage_of(self.extractor))
        return result


def _collect(
    chunk: ChunkWithText,
    said: Extraction,
    names: dict[tuple[str, ...], EntityRow],
    ties: dict[tuple[str, ...], RelationRow],
) -> None:
    key, ordinal = ItemKey.of(chunk), chunk["ordinal"]
    at = (*key, str(ordinal))
    for entity in said.entities:
        named: EntityRow = {
            "tenant_id": key.tenant_id,
            "source_key": key.source_key,
            "ordinal": ordinal,
            "kind": entity.kind,
            "form": entity.form,
            "name": entity.name,
        }
        names.setdefault((*at, entity.kind, entity.form), named)
    for tie in said.relations:
        related: RelationRow = {
            "tenant_id": key.tenant_id,
            "source_key": key.source_key,
            "ordinal": ordinal,
            "subject": tie.subject,
            "predicate": tie.predicate,
            "object": tie.object,
            "weak": tie.weak,
        }
        ties.setdefault((*at, tie.subject, tie.predicate, tie.object), related)


def _complete(
    result: BatchResult,
    owner: str,
    keys: Sequence[ItemKey],
    names: dict[tuple[str, ...], EntityRow],
    ties: dict[tuple[str, ...], RelationRow],
    uses: Sequence[tuple[ItemKey, str]],
) -> None:
    def write(connection: Transaction, held: set[ItemKey]) -> None:
        enrichment.replace_facts(connection, owner, _of(names, held), _of(ties, held))
        link_results(connection, [use for use in uses if use[0] in held])

    per_item = Counter(ItemKey.of(row) for row in names.values())
    result.write = write
    result.counts = Counter(
        entities=len(names), relations=len(ties), weak_relations=sum(row["weak"] for row in ties.values())
    )
    result.preview = [{"source": key.source_key, "entities": per_item[key]} for key in keys[:10]]


def _of(rows: dict[tuple[str, ...], Fact], held: set[ItemKey]) -> list[Fact]:
    return [row for row in rows.values() if ItemKey.of(row) in held]
