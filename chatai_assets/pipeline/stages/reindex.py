"""Chunks -> points in the vector index that is being built next to the active one.

Every item passes this stage, but none waits for it: it embeds with the new model what that model has not embedded yet,
and writes the points that ``index`` writes to the active index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.stages import STAGES
from chatai_assets.pipeline.engine import BatchResult, StageReport, StageRunConfig, run_batches
from chatai_assets.pipeline.projections.points import Written, write_points
from chatai_assets.pipeline.projections.recovery import probe_vectors, with_rebuild
from chatai_assets.pipeline.projections.vector_indexes import Indexes, OpenIndex
from chatai_assets.pipeline.projections.writes import confirm
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.pipeline.stages.embed import EmbedHandler, Stems
from chatai_assets.storage import vector_indexes as index_records
from chatai_assets.storage.engine import Records, Transaction

SPEC = STAGES["reindex"]


def run(config: StageRunConfig, services: StageServices) -> StageReport:
    """Embed and write what is due of one hour; see ``fill_hour``."""
    return fill_hour(config, services.records, services.indexes, services.stems)


def fill_hour(config: StageRunConfig, records: Records, indexes: Indexes, stems: Stems) -> StageReport:
    """Embed and write what is due of one hour; nothing where no index is being built.

    Raises:
        IndexSuperseded: the index was given up, or is active already.
    """
    building = indexes.of("filling")
    if building is None:
        return StageReport("reindex", config.stream, config.hour)
    index = indexes.opened(building)
    embedding = EmbedHandler(config, records, lambda: index, stems)
    handler = ReindexHandler(config, records, index, embedding)
    return with_rebuild(lambda: run_batches(config, records, handler), records, probe_vectors(index))


class ReindexHandler:
    """Handler of the stage ``reindex``."""

    spec = SPEC

    def __init__(self, config: StageRunConfig, records: Records, index: OpenIndex, embedding: EmbedHandler) -> None:
        self.stream = config.stream
        self.records = records
        self.index = index
        self.embedding = embedding
        self.fingerprint = SPEC.fingerprint(index.model)

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        """Nothing: the active index has these items."""

    def process_batch(self, owner: str) -> BatchResult:
        embedded = self.embedding.process_batch(owner)
        with self.records.begin() as connection:
            # Vectors that were paid for are stored first: the points are made from what is stored.
            embedded.write(connection, set())
        written = write_points(self.records, self.index, "filling", self.stream, owner, embedded.failures.keys())
        changes = written.changes
        figures = Counter(points_written=changes.written, points_deleted=changes.deleted)
        return BatchResult(
            write=lambda connection, held: self._confirm(connection, written, held),
            failures=embedded.failures,
            tracebacks=embedded.tracebacks,
            unchanged=len(written.desired) - len(changes.plans),
            counts=embedded.counts + figures,
        )

    def _confirm(self, connection: Transaction, written: Written, held: set[ItemKey]) -> None:
        index_records.require_state(connection, self.index.about.number, "filling")
        mine = {key: points for key, points in written.desired.items() if key in held}
        confirm(connection, self.index.projection, written.changes, mine)
