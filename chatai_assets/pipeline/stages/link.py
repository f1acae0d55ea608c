"""Tags, entities and relations -> nodes and edges of the knowledge graph, each with its source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from chatai_assets.adapters.graph.base import GraphStore, GraphWriter
from chatai_assets.domain.entities.resolution import Overrides
from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.extraction import Entity, Extraction, Relation
from chatai_assets.domain.graph.changes import build_change, fingerprints
from chatai_assets.domain.graph.subgraph import Channel, Facts, Subgraph, build_subgraph
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.projection_plan import Plan
from chatai_assets.domain.stages import STAGES
from chatai_assets.pipeline.engine import BatchResult, StageReport, StageRunConfig, run_batches
from chatai_assets.pipeline.item_errors import attempt
from chatai_assets.pipeline.projections.recovery import probe_graph, with_rebuild
from chatai_assets.pipeline.projections.writes import PendingWrites, confirm, needs_writing, record_intent
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.storage import enrichment, entity_overrides
from chatai_assets.storage import items as content
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.enrichment import EntityRow, RelationRow, StoredTags
from chatai_assets.storage.items import ClaimedItem

SPEC = STAGES["link"]
BATCH_ITEMS = 10_000
NOTHING = Subgraph()

Extractions = Mapping[int, Extraction]


class LinkedItem(ClaimedItem):
    """What is read of an item for its node and its channel; ``chat_id`` is that of a post, ``format`` of a document."""

    title: str | None
    url: str | None
    published_at: int | None
    chat_id: int | None
    channel: str | None
    username: str | None
    format: str | None


def run(config: StageRunConfig, services: StageServices) -> StageReport:
    """Make the graph hold exactly what the latest revision of what is due says.

    Batches are large: closing the embedded graph rewrites all its edges, and no search waits for it.
    """
    records, graph = services.records, services.graph
    handler = LinkHandler(config, records, graph)
    return with_rebuild(
        lambda: run_batches(config, records, handler, batch_items=BATCH_ITEMS), records, probe_graph(graph)
    )


class LinkHandler:
    """Handler of the stage ``link``."""

    spec = SPEC
    fingerprint = SPEC.fingerprint()

    def __init__(self, config: StageRunConfig, records: Records, graph: GraphStore) -> None:
        self.config = config
        self.records = records
        self.graph = graph

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        """Nothing: who is named in an item is known whether or not the graph shows it."""

    def process_batch(self, owner: str) -> BatchResult:
        with self.records.reading() as connection:
            items = content.claimed_items(connection, self.config.stream, owner, LinkedItem)
            tags = enrichment.tags_of_owner(connection, owner)
            said = _extractions(*enrichment.facts_of_owner(connection, owner))
            before = ledger.entries_of_claim(connection, owner, "graph")
            set_by_hand = entity_overrides.overrides_of_owner(connection, owner)
        result = BatchResult(write=lambda _connection, _keys: None)
        draw = partial(_subgraph, tags=tags, said=said, set_by_hand=set_by_hand)
        drawn = {ItemKey.of(item): attempt(partial(draw, item), ItemKey.of(item), result) for item in items}
        wanted = {key: graph for key, graph in drawn.items() if graph is not None}
        desired = {key: fingerprints(graph) for key, graph in wanted.items()}
        changes = PendingWrites({})
        if needs_writing(desired, before):
            with self.graph.writing() as writer:
                changes = record_intent(self.records, "graph", owner, desired, writer.generation)
                write_changes(writer, changes, wanted)
        _complete(result, desired, changes)
        return result


def write_changes(writer: GraphWriter, changes: PendingWrites, wanted: Mapping[ItemKey, Subgraph]) -> None:
    """Write what was announced and sign it; of items without a subgraph nothing is left."""
    for portion in _portions(changes.plans, writer.max_parts):
        writer.apply(build_change((plan, wanted.get(key, NOTHING)) for key, plan in portion))
    if changes.generation:
        writer.write_generation(changes.generation)


def _portions(plans: Mapping[ItemKey, Plan], max_parts: int) -> Iterator[list[tuple[ItemKey, Plan]]]:
    """Yield the items in portions that one transaction takes; the ledger knows what is intended of all of them."""
    portion: list[tuple[ItemKey, Plan]] = []
    parts = 0
    for key, plan in plans.items():
        size = len(plan.upserts) + len(plan.deletes)
        if portion and parts + size > max_parts:
            yield portion
            portion, parts = [], 0
        portion.append((key, plan))
        parts += size
    if portion:
        yield portion


def _complete(result: BatchResult, desired: dict[ItemKey, dict[str, str]], changes: PendingWrites) -> None:
    def write(connection: Transaction, held: set[ItemKey]) -> None:
        confirm(connection, "graph", changes, {key: parts for key, parts in desired.items() if key in held})

    result.write = write
    result.unchanged = len(desired) - len(changes.plans)
    result.counts = Counter(written=changes.written, deleted=changes.deleted)
    result.preview = [
        {"source": key.source_key, "nodes_and_edges": len(parts), "written": key in changes.plans}
        for key, parts in list(desired.items())[:10]
    ]


def _subgraph(
    item: LinkedItem,
    tags: Mapping[ItemKey, StoredTags],
    said: Mapping[ItemKey, Extractions],
    set_by_hand: Mapping[str, Overrides],
) -> Subgraph:
    """Return what an item says; one without text says nothing, so that it leaves the graph."""
    if not item["has_text"]:
        return NOTHING
    key = ItemKey.of(item)
    return build_subgraph(
        Facts(
            tenant_id=key.tenant_id,
            source_key=key.source_key,
            title=item["title"],
            url=item["url"],
            published_at=item["published_at"],
            channel=_channel(item),
            format=item["format"],
            tags=tags[key].tags if key in tags else (),
            extractions=said.get(key, {}),
            overrides=set_by_hand.get(key.tenant_id, {}),
        )
    )


def _channel(item: LinkedItem) -> Channel | None:
    """Return the channel of a post; None for a document, which has no chat."""
    if item["chat_id"] is None:
        return None
    return Channel(item["chat_id"], item["channel"] or "", item["username"])


def _extractions(names: Sequence[EntityRow], ties: Sequence[RelationRow]) -> dict[ItemKey, dict[int, Extraction]]:
    entities: defaultdict[tuple[ItemKey, int], list[Entity]] = defaultdict(list)
    relations: defaultdict[tuple[ItemKey, int], list[Relation]] = defaultdict(list)
    for row in names:
        entities[ItemKey.of(row), row["ordinal"]].append(Entity(row["name"], row["form"], row["kind"]))
    for tie in ties:
        relation = Relation(tie["subject"], tie["object"], tie["predicate"], tie["weak"])
        relations[ItemKey.of(tie), tie["ordinal"]].append(relation)
    said: defaultdict[ItemKey, dict[int, Extraction]] = defaultdict(dict)
    for (key, ordinal), found in entities.items():
        said[key][ordinal] = Extraction(tuple(found), tuple(relations.get((key, ordinal), ())))
    return said
