"""What the assets of both streams share: everything after parsing is the same code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from chatai_assets.adapters.crawler.base import PageReader
from chatai_assets.adapters.graph.base import GraphStore
from chatai_assets.adapters.models.base import Extractor, Tagger
from chatai_assets.domain.ids import Stream
from chatai_assets.domain.stages import ITEM_STAGES, Stage
from chatai_assets.orchestration.metadata import PREVIEW_COLUMNS, crawl_metadata
from chatai_assets.orchestration.resources import Clock, Lazy
from chatai_assets.orchestration.stage_runs import stage_run
from chatai_assets.pipeline.projections.vector_indexes import Indexes
from chatai_assets.pipeline.stages import embed, enrich, index, link, parse, tag
from chatai_assets.pipeline.stages.crawl import crawl_hour
from chatai_assets.pipeline.stages.embed import Stems, embed_hour
from chatai_assets.pipeline.stages.enrich import enrich_hour
from chatai_assets.pipeline.stages.index import index_hour
from chatai_assets.pipeline.stages.link import link_hour
from chatai_assets.pipeline.stages.tag import tag_hour
from chatai_assets.settings import Settings
from chatai_assets.storage.engine import Records

OWNERS = ["team:chatai"]
NAMES: dict[Stage, str] = {
    "parse": "parsed",
    "tag": "tagged",
    "enrich": "enriched",
    "embed": "embedded",
    "index": "indexed",
    "link": "linked",
    "crawl": "enriched",
}
"""Stage -> what an item is after it, which is the asset's name."""


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What the UI shows of a stage, and when it runs.

    Attributes:
        after: stages whose results it reads.
        writes: ``records``, ``vectors`` or ``graph``: the store its results go to.
        pool: the limit it shares with stages of other runs (``dagster.yaml``).
        priority: which of the steps that could run goes first; tags come before the index, so that points are
            written once, and enriching after it, so that a slow web keeps no post from being found.
        code_version: changes when the same input gives other results.
    """

    after: tuple[Stage, ...]
    writes: str
    pool: str
    priority: int
    code_version: str


FACTS: dict[Stage, StageFacts] = {
    "parse": StageFacts((), "records", "parsers", 60, parse.CODE_VERSION),
    "tag": StageFacts(("parse",), "records", "models", 50, tag.CODE_VERSION),
    "enrich": StageFacts(("parse",), "records", "models", 15, enrich.CODE_VERSION),
    "embed": StageFacts(("parse",), "records", "models", 30, embed.CODE_VERSION),
    "index": StageFacts(("embed",), "vectors", "vectors", 20, index.CODE_VERSION),
    "link": StageFacts(("tag", "enrich"), "graph", "graph", 10, link.CODE_VERSION),
}


def asset_key(stream: Stream, stage: Stage) -> dg.AssetKey:
    """Return the asset of a stage: ``posts/parsed``, ``documents/linked``."""
    return dg.AssetKey([stream, NAMES[stage]])


def asset_keys(stream: Stream) -> dict[Stage, dg.AssetKey]:
    """Return the six assets of a stream, in the order in which they usually run."""
    return {stage: asset_key(stream, stage) for stage in ITEM_STAGES}


def stage_assets(
    stream: Stream,
    parsed: Callable[..., Any],
    descriptions: Mapping[Stage, str],
    settings: Settings,
    hours: dg.PartitionsDefinition[str],
) -> list[dg.AssetsDefinition]:
    """Return the six assets of a stream.

    Args:
        parsed: what the stream's first asset does; all others are those of this module.
        descriptions: stage -> what a newcomer reads about it in the UI, in Markdown.
    """
    computes: dict[Stage, Callable[..., Any]] = {
        "parse": parsed,
        "tag": tagged,
        "enrich": enriched,
        "embed": embedded,
        "index": indexed,
        "link": linked,
    }
    return [_asset(stream, stage, computes[stage], descriptions[stage], settings, hours) for stage in ITEM_STAGES]


def _asset(
    stream: Stream,
    stage: Stage,
    compute: Callable[..., Any],
    description: str,
    settings: Settings,
    hours: dg.PartitionsDefinition[str],
) -> dg.AssetsDefinition:
    facts = FACTS[stage]
    decorate = dg.asset(
        key=asset_key(stream, stage),
        deps=[asset_key(stream, before) for before in facts.after],
        partitions_def=hours,
        group_name=stream,
        description=description,
        owners=OWNERS,
        kinds={"python", _kind(facts.writes, settings)},
        tags=settings.stage_tags(stage),
        metadata={"dagster/column_schema": PREVIEW_COLUMNS[stage]},
        op_tags={"dagster/priority": str(facts.priority), **settings.deadline_tags(stage)},
        pool=facts.pool,
        code_version=facts.code_version,
    )
    definition = decorate(compute)
    if not isinstance(definition, dg.AssetsDefinition):
        raise TypeError(f"{compute} makes no asset.")
    return definition


def _kind(writes: str, settings: Settings) -> str:
    if writes == "records":
        return "sqlite" if settings.database_url.startswith("sqlite") else "postgres"
    return {"vectors": "qdrant", "graph": "ladybug"}[writes]


def tagged(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    records: dg.ResourceParam[Lazy[Records]],
    tagger: dg.ResourceParam[Lazy[Tagger]],
) -> dg.MaterializeResult[None]:
    """Tag one hour."""
    with stage_run(context, "tag", settings, records, clock) as run:
        run.do(lambda scope: tag_hour(scope, records=records(), tagger=tagger()))
    return run.result


def enriched(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    records: dg.ResourceParam[Lazy[Records]],
    extractor: dg.ResourceParam[Lazy[Extractor]],
    pages: dg.ResourceParam[Lazy[PageReader | None]],
) -> dg.MaterializeResult[None]:
    """Find the entities and relations of one hour, and read the pages its posts link to."""
    with stage_run(context, "enrich", settings, records, clock) as run:
        run.do(lambda scope: enrich_hour(scope, records=records(), extractor=extractor()))
    found = run.result
    if run.scope.stream == "documents":
        return found
    with stage_run(context, "crawl", settings, records, clock) as crawling:
        crawling.do(lambda scope: crawl_hour(scope, records=records(), reader=pages()))
    return dg.MaterializeResult(metadata={**(found.metadata or {}), **crawl_metadata(crawling.report)})


def embedded(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    records: dg.ResourceParam[Lazy[Records]],
    indexes: dg.ResourceParam[Lazy[Indexes]],
    stems: dg.ResourceParam[Lazy[Stems]],
) -> dg.MaterializeResult[None]:
    """Embed one hour."""
    with stage_run(context, "embed", settings, records, clock) as run:
        run.do(lambda scope: embed_hour(scope, records=records(), indexes=indexes(), stems=stems()))
    return run.result


def indexed(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    records: dg.ResourceParam[Lazy[Records]],
    indexes: dg.ResourceParam[Lazy[Indexes]],
) -> dg.MaterializeResult[None]:
    """Write the points of one hour."""
    with stage_run(context, "index", settings, records, clock) as run:
        run.do(lambda scope: index_hour(scope, records=records(), indexes=indexes()))
    return run.result


def linked(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    records: dg.ResourceParam[Lazy[Records]],
    graph: dg.ResourceParam[Lazy[GraphStore]],
) -> dg.MaterializeResult[None]:
    """Write the nodes and edges of one hour."""
    with stage_run(context, "link", settings, records, clock) as run:
        run.do(lambda scope: link_hour(scope, records=records(), graph=graph()))
    return run.result
