"""Which function does which stage, and with which parts."""

from chatai_assets.domain.ids import Stage
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


def do_stage(stage: Stage, scope: StageRunConfig, parts: Services) -> StageReport:
    """Do one stage with whatever parts it needs."""
    records = parts.records
    match stage:
        case "parse" if scope.stream == "posts":
            return parse_posts(scope, records=records, lifetime=parts.settings.retention.posts)
        case "parse":
            return parse_documents(
                scope,
                records=records,
                blobs=parts.blobs,
                reader=parts.reader,
                lifetime=parts.settings.retention.documents,
            )
        case "tag":
            return tag_hour(scope, records=records, tagger=parts.tagger)
        case "enrich":
            return enrich_hour(scope, records=records, extractor=parts.extractor)
        case "embed":
            return embed_hour(scope, records=records, indexes=parts.indexes, stems=parts.stems)
        case "index":
            return index_hour(scope, records=records, indexes=parts.indexes)
        case "link":
            return link_hour(scope, records=records, graph=parts.graph)
        case "crawl":
            return crawl_hour(scope, records=records, reader=parts.pages)
        case "reindex":
            return reindex_hour(scope, records=records, indexes=parts.indexes, stems=parts.stems)
