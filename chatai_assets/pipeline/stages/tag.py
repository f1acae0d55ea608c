"""Parsed text -> tags, each a substring of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from chatai_assets.adapters.models.base import CostLabel, ModelInput, Tagger, pop_usage_of, uses_cache_key
from chatai_assets.domain.errors import ChatAIError, InvalidModelResponse
from chatai_assets.domain.ids import ItemKey, Stream
from chatai_assets.domain.stages import STAGES
from chatai_assets.domain.tagging import TAGGED_CHARS, check_tags, has_usable_word, tags_hash
from chatai_assets.pipeline.engine import BatchResult, StageReport, StageRunConfig, run_batches
from chatai_assets.pipeline.item_errors import answers_to, attempt, note_failure
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.storage import enrichment
from chatai_assets.storage import items as content
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.enrichment import EnrichmentRow, StoredTags
from chatai_assets.storage.items import ClaimedItem
from chatai_assets.storage.llm_responses import link_results

SPEC = STAGES["tag"]


def run(config: StageRunConfig, services: StageServices) -> StageReport:
    """Tag what is due; tags are written, and the item indexed and linked again, only when they changed."""
    return run_batches(config, services.records, TagHandler(config, services.records, services.tagger))


class TaggedItem(ClaimedItem):
    """What is read of an item to tag it: the beginning of its text."""

    head: str


class TagHandler:
    """Handler of the stage ``tag``."""

    spec = SPEC

    def __init__(self, config: StageRunConfig, records: Records, tagger: Tagger) -> None:
        self.records = records
        self.tagger = tagger
        self.stream: Stream = config.stream
        self.clock = config.clock
        self.cost_label = CostLabel(config.stream, config.hour)
        self.fingerprint = SPEC.fingerprint(tagger.model)

    def process_batch(self, owner: str) -> BatchResult:
        with self.records.reading() as connection:
            items = content.claimed_items(connection, self.stream, owner, TaggedItem, text_chars=TAGGED_CHARS)
            before = enrichment.tags_of_owner(connection, owner)
        with_text = [item for item in items if item["has_text"]]
        questions = [ModelInput(item["tenant_id"], item["head"], self.cost_label) for item in with_text]
        answers = answers_to(self.tagger.tag, questions)
        result = BatchResult(write=lambda _connection, _keys: None)
        tags: dict[ItemKey, tuple[str, ...]] = {ItemKey.of(item): () for item in items if not item["has_text"]}
        tags |= self._checked(with_text, answers, result)
        uses = uses_cache_key(self.tagger, zip(map(ItemKey.of, with_text), questions, strict=True))
        self._complete(result, tags, before, uses)
        return result

    def _checked(
        self, items: Sequence[TaggedItem], answers: Sequence[Sequence[str] | Exception], result: BatchResult
    ) -> dict[ItemKey, tuple[str, ...]]:
        checked: dict[ItemKey, tuple[str, ...]] = {}
        for item, answer in zip(items, answers, strict=True):
            if isinstance(answer, Exception):
                note_failure(answer, ItemKey.of(item), result)
                continue
            tags = attempt(partial(_believed, answer, item["head"]), ItemKey.of(item), result)
            if tags is not None:
                checked[ItemKey.of(item)] = tags
        return checked

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        """Remove the tags of an earlier revision, also from the index: they may not be substrings of the text now."""
        enrichment.forget_tags(connection, failures.keys())
        work.requeue(connection, "index", list(failures), now=self.clock())

    def _complete(
        self,
        result: BatchResult,
        tags: dict[ItemKey, tuple[str, ...]],
        before: dict[ItemKey, StoredTags],
        uses: Sequence[tuple[ItemKey, str]],
    ) -> None:
        nothing = StoredTags(tags_hash(()), ())
        changed = {
            key: words for key, words in tags.items() if tags_hash(words) != before.get(key, nothing).content_hash
        }

        def write(connection: Transaction, keys: set[ItemKey]) -> None:
            enrichment.write_tags(connection, [self._row(key, changed[key]) for key in changed if key in keys])
            link_results(connection, [use for use in uses if use[0] in keys])

        result.write = write
        result.requeue = {"index": list(changed), "link": list(changed)}
        result.unchanged = len(tags) - len(changed)
        result.counts = Counter(tags=sum(map(len, tags.values())), items_changed=len(changed))
        result.counts.update(pop_usage_of(self.tagger))
        result.preview = [{"source": key.source_key, "tags": len(words)} for key, words in list(tags.items())[:10]]

    def _row(self, key: ItemKey, words: tuple[str, ...]) -> EnrichmentRow:
        return {
            "tenant_id": key.tenant_id,
            "post_id": key.source_key,
            "content_hash": tags_hash(words),
            "value": {"tags": list(words)},
            "model": self.tagger.model,
            "written_at": self.clock(),
        }


def _believed(answer: Sequence[str], text: str) -> tuple[str, ...]:
    tags = check_tags(answer, text)
    if not tags and has_usable_word(text):
        raise InvalidModelResponse("The tagger named nothing that stands in the text.")
    return tags
