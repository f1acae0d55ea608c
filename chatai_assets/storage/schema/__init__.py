"""Tables of the record store, the source of truth for all projections.

Every primary key starts with the tenant, except where a table is a log. Moments are epoch seconds. The migrations in
``migrations/versions`` make these tables; a test compares the two.
"""

from chatai_assets.storage.schema.content import (
    chunks,
    documents,
    entities,
    entity_overrides,
    inbox,
    pages,
    post_enrichment,
    posts,
    relations,
    tombstones,
)
from chatai_assets.storage.schema.metadata import metadata
from chatai_assets.storage.schema.projections import index_ledger, indexes, vectors
from chatai_assets.storage.schema.providers import (
    calls_under_way,
    provider_costs,
    provider_result_uses,
    provider_results,
    quota,
)
from chatai_assets.storage.schema.work import announcements, checkpoints, outages, stage_stats, work, worker_dlq

__all__ = [
    "announcements",
    "calls_under_way",
    "checkpoints",
    "chunks",
    "documents",
    "entities",
    "entity_overrides",
    "inbox",
    "index_ledger",
    "indexes",
    "metadata",
    "outages",
    "pages",
    "post_enrichment",
    "posts",
    "provider_costs",
    "provider_result_uses",
    "provider_results",
    "quota",
    "relations",
    "stage_stats",
    "tombstones",
    "vectors",
    "work",
    "worker_dlq",
]
