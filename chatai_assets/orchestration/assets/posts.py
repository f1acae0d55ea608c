"""The six assets of Telegram posts."""

import dagster as dg

from chatai_assets.domain.stages import Stage
from chatai_assets.orchestration.assets.stages import stage_assets
from chatai_assets.orchestration.resources import Clock, Lazy
from chatai_assets.orchestration.stage_runs import stage_run
from chatai_assets.pipeline.stages.parse import parse_posts
from chatai_assets.settings import Settings
from chatai_assets.storage.engine import Records

DESCRIPTIONS: dict[Stage, str] = {
    "parse": """Posts read out of the raw Telegram records that arrived in one hour.

The text is brought into one form, its links are collected, and it is cut into **chunks** of at most 600 words, the
pieces that are searched later. The raw record stays: a better parser is a backfill, not a loss.""",
    "tag": """One to eight topics of each post.

Every tag is a **substring of its post**; that is checked by code, whoever proposed the tag. Tags are written only
when they changed, and then the post is indexed and linked again.""",
    "enrich": """Who and what the posts speak of: names in Russian and English, and how they belong together.

Each entity and relation remembers the chunk it comes from, so that a fact can be traced and later removed. Names that
merely stand near each other make a *weak* relation.

With `CHATAI_CRAWL=1` the pages that posts link to are read as well, and their text is found as the post's.""",
    "embed": """The meaning of each chunk as a dense vector, its words as a sparse one.

A text that was embedded once is **never embedded again**, whichever post brings it.""",
    "index": """The posts as search finds them: one point per chunk in Qdrant.

After this step the vector index holds exactly the latest revision of each post; points of earlier revisions are gone.
Search asks it by meaning and by words at once.""",
    "link": """The posts in the knowledge graph: posts, channels, tags and entities, and what connects them.

Every edge carries its source. What an earlier revision said and the latest one does not is removed.""",
}


def parsed(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    records: dg.ResourceParam[Lazy[Records]],
) -> dg.MaterializeResult[None]:
    """Parse the posts of one hour."""
    with stage_run(context, "parse", settings, records, clock) as run:
        run.do(lambda scope: parse_posts(scope, records=records(), lifetime=settings.retention.posts))
    return run.result


def post_assets(settings: Settings, hours: dg.PartitionsDefinition[str]) -> list[dg.AssetsDefinition]:
    """Return ``posts/parsed`` to ``posts/linked``."""
    return stage_assets("posts", parsed, DESCRIPTIONS, settings, hours)
