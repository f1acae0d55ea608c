"""Which function does which stage, and with which parts."""

from chatai_assets.domain.stages import Stage
from chatai_assets.pipeline.engine import StageReport, StageRunConfig
from chatai_assets.pipeline.stages.crawl import crawl_hour
from chatai_assets.pipeline.stages.embed import embed_hour
from chatai_assets.pipeline.stages.enrich import enrich_hour
from chatai_assets.pipeline.stages.index import index_hour
from chatai_assets.pipeline.stages.link import link_hour
from chatai_assets.pipeline.stages.parse import parse_documents, parse_posts
from chatai_assets.pipeline.stages.reindex import reindex_hour
from chatai_assets.pipeline.stages.tag import tag_hour
from chatai_assets.services import Services


def do_stage(stage: Stage, scope: StageRunConfig, services: Services) -> StageReport:
    """Do one stage with whatever parts it needs."""
    records = services.records
    match stage:
        case "parse" if scope.stream == "posts":
            return parse_posts(scope, records=records, lifetime=services.settings.retention.posts)
        case "parse":
            return parse_documents(
                scope,
                records=records,
                blobs=services.blobs,
                reader=services.reader,
                lifetime=services.settings.retention.documents,
            )
        case "tag":
            return tag_hour(scope, records=records, tagger=services.tagger)
        case "enrich":
            return enrich_hour(scope, records=records, extractor=services.extractor)
        case "embed":
            return embed_hour(scope, records=records, indexes=services.indexes, stems=services.stems)
        case "index":
            return index_hour(scope, records=records, indexes=services.indexes)
        case "link":
            return link_hour(scope, records=records, graph=services.graph)
        case "crawl":
            return crawl_hour(scope, records=records, reader=services.pages)
        case "reindex":
            return reindex_hour(scope, records=records, indexes=services.indexes, stems=services.stems)
