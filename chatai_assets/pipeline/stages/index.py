"""Chunks, vectors and tags -> points in the active vector index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chatai_assets.domain.errors import ChatAIError, IndexSuperseded
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.stages import STAGES
from chatai_assets.domain.text.chunking import BODY
from chatai_assets.pipeline.engine import BatchResult, StageReport, StageRunConfig, run_batches
from chatai_assets.pipeline.item_errors import fail_documents
from chatai_assets.pipeline.projections.points import Written, write_points
from chatai_assets.pipeline.projections.recovery import probe_vectors, with_rebuild
from chatai_assets.pipeline.projections.vector_indexes import MOVES, OpenIndex
from chatai_assets.pipeline.projections.writes import confirm
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.storage import embeddings
from chatai_assets.storage import items as content
from chatai_assets.storage import vector_indexes as indexes
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.engine import Records, Transaction

SPEC = STAGES["index"]


def run(config: StageRunConfig, services: StageServices) -> StageReport:
    """Make the active vector index hold exactly the latest revision of what is due; documents become ``completed``.

    If another index becomes active meanwhile, the rest of the work is done in that one.

    Raises:
        IndexSuperseded: the active index changed too often.
    """
    for _ in range(MOVES):
        try:
            return _index_into(config, services.records, services.indexes.serving())
        except IndexSuperseded as error:
            superseded = error
    raise superseded


def _index_into(config: StageRunConfig, records: Records, index: OpenIndex) -> StageReport:
    handler = IndexHandler(config, records, index)
    return with_rebuild(
        lambda: run_batches(config, records, handler, batch_items=config.projection_items),
        records,
        probe_vectors(index),
    )


class IndexHandler:
    """Handler of the stage ``index``."""

    spec = SPEC

    def __init__(self, config: StageRunConfig, records: Records, index: OpenIndex) -> None:
        self.config = config
        self.records = records
        self.index = index
        self.fingerprint = SPEC.fingerprint(index.model)

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        if self.config.stream == "documents":
            fail_documents(connection, failures)

    def process_batch(self, owner: str) -> BatchResult:
        waiting = self._to_embed(owner)
        written = write_points(self.records, self.index, "serving", self.config.stream, owner, waiting)
        desired, changes = written.desired, written.changes
        preview = [
            {"source": key.source_key, "points": len(points), "written": key in changes.plans}
            for key, points in list(desired.items())[:10]
        ]
        return BatchResult(
            write=lambda connection, held: self._complete(connection, owner, written, held, waiting & held),
            unchanged=len(desired) - len(changes.plans),
            counts=Counter(points_written=changes.written, points_deleted=changes.deleted),
            preview=preview,
        )

    def _to_embed(self, owner: str) -> set[ItemKey]:
        """Return the items that were embedded with another model, since another index was active then."""
        with self.records.reading() as connection:
            lacking = embeddings.unembedded(connection, owner, self.index.model)
            keys = {ItemKey.of(row) for row in lacking if row["part"] == BODY}
            rows = work.find_rows(connection, "embed", list(keys))
        current = STAGES["embed"].fingerprint(self.index.model)
        return {key for key, row in rows.items() if row["state"] == "done" and row["fingerprint"] != current}

    def _complete(
        self, connection: Transaction, owner: str, written: Written, held: set[ItemKey], waiting: set[ItemKey]
    ) -> None:
        indexes.require_state(connection, self.index.about.number, "serving")
        desired = {key: points for key, points in written.desired.items() if key in held}
        confirm(connection, self.index.projection, written.changes, desired)
        self._have_filled(connection, owner, list(desired))
        rows = [_searchable(self.config.stream, key, len(points)) for key, points in desired.items()]
        # A document without points is not completed; the stage that failed it has recorded why.
        shown = rows if self.config.stream == "posts" else [row for row in rows if row["chunks_count"]]
        content.write_items(connection, self.config.stream, shown)
        # They come here again once they are embedded; until then they are pending as before.
        work.requeue(connection, "embed", list(waiting), now=self.config.clock())
        work.discard(connection, "index", list(waiting))

    def _have_filled(self, connection: Transaction, owner: str, keys: Sequence[ItemKey]) -> None:
        """Make the index that is being built, if there is one, take over what this one holds now."""
        if keys and indexes.index_of(connection, "filling"):
            work.enqueue(connection, owner, ("reindex",), now=self.config.clock(), keys=keys)
            work.requeue(connection, "reindex", keys, now=self.config.clock())


def _searchable(stream: str, key: ItemKey, chunks_count: int) -> dict[str, Any]:
    row = {"tenant_id": key.tenant_id, "source_key": key.source_key, "chunks_count": chunks_count}
    return row if stream == "posts" else row | {"status": "completed", "error": None, "error_code": None}
