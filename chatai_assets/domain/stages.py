"""Every stage of the pipeline, described once: order, dependencies, limits, retries, and what the UI shows of it.

A new stage is a row of ``STAGES``, its name in ``Stage``, a module in ``pipeline.stages`` and a line in
``pipeline.runner``. No other module may hold a table of stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Literal

from chatai_assets.domain.ids import STREAMS, Stream, fingerprint
from chatai_assets.domain.retry import USUAL_BACKOFF, Backoff

Stage = Literal["parse", "tag", "enrich", "embed", "index", "link", "crawl", "reindex"]
Role = Literal["item", "optional", "rebuild"]
"""``item``: every item passes the stage; ``optional``: some do, if the settings ask for it; ``rebuild``: it fills a
second vector index, and no item waits for it."""
ModelRole = Literal["tagger", "extractor", "embedder"]
Dependency = Literal["parser", "vectors", "graph", "web"] | ModelRole
Target = Literal["records", "vectors", "graph"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table of items that a materialization shows.

    Attributes:
        type: ``string``, ``int``, ``float`` or ``bool``.
    """

    name: str
    type: str
    description: str


SOURCE = Column("source", "string", "source key")


@dataclass(frozen=True, slots=True)
class StageSpec:
    """What the pipeline, Dagster, retries, costs and staleness know of one stage.

    Attributes:
        asset: the last part of the asset's key: what an item is after the stage. Stages with the same name share it.
        code_version: changes when the same input gives other results.
        dependency: what the stage needs besides the record store; its outage stops the stage.
        upstream: stages whose results it reads. It becomes pending once one of them is done, and is redone with it.
        role: which items pass it.
        streams: streams that have it.
        writes: the store its results go to.
        model: whose answers its results are made of; a change of that model makes them stale.
        is_paid: whether it asks a provider for which a tenant's budget may be spent.
        fingerprint_by_stream: whether each stream has code of its own, so that fingerprints differ.
        pool: the limit it shares with stages of other runs (``dagster.yaml``).
        priority: which of the steps that could run goes first; tags come before the index, so that points are
            written once, and enriching after it, so that a slow web keeps no post from being found.
        has_item_deadline: whether one item has a deadline of its own within the stage's.
        max_attempts: tries of an item before a transient failure counts as permanent; None takes the settings' default.
        deadline_s: seconds the stage of one run may take; None takes the settings' default.
        backoff: delays between the attempts of one item.
        invalidates_on_failure: stages that look again at an item that failed here permanently, if a projection holds
            some of it.
        continues_without: stages that are done, or done again, for an item without what failed here permanently.
        taken_metric: name of the figure ``run_...`` that counts claimed items.
        descriptions: stream -> what a newcomer reads about the asset, in Markdown.
        preview: columns of the table that shows a few of a run's items.
    """

    name: Stage
    asset: str
    code_version: str
    dependency: Dependency
    upstream: tuple[Stage, ...] = ()
    role: Role = "item"
    streams: tuple[Stream, ...] = STREAMS
    writes: Target = "records"
    model: ModelRole | None = None
    is_paid: bool = False
    fingerprint_by_stream: bool = False
    pool: str = ""
    priority: int = 0
    has_item_deadline: bool = True
    max_attempts: int | None = None
    deadline_s: int | None = None
    backoff: Backoff = USUAL_BACKOFF
    invalidates_on_failure: tuple[Stage, ...] = ()
    continues_without: tuple[Stage, ...] = ()
    taken_metric: str = "in"
    descriptions: Mapping[Stream, str] = field(default_factory=dict)
    preview: tuple[Column, ...] = ()

    def fingerprint(self, *varies: str) -> str:
        """Return what identifies the code and models behind the stage's results.

        Args:
            varies: the stream or the model's key, where results depend on it.
        """
        return fingerprint(self.name, *varies, self.code_version)


PARSE = StageSpec(
    name="parse",
    asset="parsed",
    code_version="3",
    dependency="parser",
    fingerprint_by_stream=True,
    pool="parsers",
    priority=60,
    invalidates_on_failure=("index", "link"),
    descriptions={
        "posts": """Posts read out of the raw Telegram records that arrived in one hour.

The text is brought into one form, its links are collected, and it is cut into **chunks** of at most 600 words, the
pieces that are searched later. The raw record stays: a better parser is a backfill, not a loss.""",
        "documents": """\
Text, pages and sections of the files that arrived in one hour: PDF, DOCX, XLSX, CSV, HTML, MD, TXT.

Each file is read in a **child process** with a memory limit and a deadline, by what it contains and not by its name.
Pages without a text layer and images (PNG, JPEG, TIFF, WEBP) are recognised where **tesseract** is installed. A file
that cannot be read becomes a dead letter with a sentence a person understands; a PDF without text is such a failure,
never an empty success. What can be read is cut into **chunks** of at most 600 words.""",
    },
    preview=(
        Column("source", "string", "source key: tg/<chat>/<message> or doc/<id>"),
        Column("language", "string", "ru, en, ..."),
        Column("characters", "int", "length of the parsed text"),
        Column("chunks", "int", "pieces of at most 600 words that are searched"),
    ),
)
TAG = StageSpec(
    name="tag",
    asset="tagged",
    code_version="1",
    dependency="tagger",
    upstream=("parse",),
    model="tagger",
    is_paid=True,
    pool="models",
    priority=50,
    continues_without=("link",),
    descriptions={
        "posts": """One to eight topics of each post.

Every tag is a **substring of its post**; that is checked by code, whoever proposed the tag. Tags are written only
when they changed, and then the post is indexed and linked again.""",
        "documents": """One to eight topics of each document, judged by its beginning.

Every tag is a **substring of the document**; that is checked by code, whoever proposed the tag.""",
    },
    preview=(
        SOURCE,
        Column("tags", "int", "1-8 topics; `chatai show` names them, for they are words of the text"),
    ),
)
ENRICH = StageSpec(
    name="enrich",
    asset="enriched",
    code_version="1",
    dependency="extractor",
    upstream=("parse",),
    model="extractor",
    is_paid=True,
    pool="models",
    priority=15,
    continues_without=("link",),
    descriptions={
        "posts": """Who and what the posts speak of: names in Russian and English, and how they belong together.

Each entity and relation remembers the chunk it comes from, so that a fact can be traced and later removed. Names that
merely stand near each other make a *weak* relation.

With `CHATAI_CRAWL=1` the pages that posts link to are read as well, and their text is found as the post's.""",
        "documents": """Who and what the documents speak of: names in Russian and English, and how they belong together.

Each entity and relation remembers the chunk it comes from, so that a fact can be traced and later removed.""",
    },
    preview=(SOURCE, Column("entities", "int", "names of people, places and organizations found in it")),
)
EMBED = StageSpec(
    name="embed",
    asset="embedded",
    code_version="1",
    dependency="embedder",
    upstream=("parse",),
    model="embedder",
    is_paid=True,
    pool="models",
    priority=30,
    invalidates_on_failure=("index",),
    descriptions={
        "posts": """The meaning of each chunk as a dense vector, its words as a sparse one.

A text that was embedded once is **never embedded again**, whichever post brings it.""",
        "documents": """The meaning of each chunk as a dense vector, its words as a sparse one.

A text that was embedded once is **never embedded again**: an edit of one page costs the chunks around it.""",
    },
    preview=(SOURCE, Column("embedded", "bool", "whether it had a text that was never embedded before")),
)
INDEX = StageSpec(
    name="index",
    asset="indexed",
    code_version="1",
    dependency="vectors",
    upstream=("embed",),
    writes="vectors",
    model="embedder",
    pool="vectors",
    priority=20,
    has_item_deadline=False,
    descriptions={
        "posts": """The posts as search finds them: one point per chunk in Qdrant.

After this step the vector index holds exactly the latest revision of each post; points of earlier revisions are gone.
Search asks it by meaning and by words at once.""",
        "documents": """The documents as search finds them: one point per chunk in Qdrant, with its page.

Only now does a document show as `completed` on the upload page: **completed means that search finds it**.""",
    },
    preview=(
        SOURCE,
        Column("points", "int", "points the vector index holds of it, one per chunk"),
        Column("written", "bool", "whether any of them had changed"),
    ),
)
LINK = StageSpec(
    name="link",
    asset="linked",
    code_version="2",
    dependency="graph",
    upstream=("tag", "enrich"),
    writes="graph",
    pool="graph",
    priority=10,
    has_item_deadline=False,
    descriptions={
        "posts": """The posts in the knowledge graph: posts, channels, tags and entities, and what connects them.

Every edge carries its source. What an earlier revision said and the latest one does not is removed.""",
        "documents": """The documents in the knowledge graph: documents, tags and entities, and what connects them.

Every edge carries its source. What an earlier revision said and the latest one does not is removed.""",
    },
    preview=(
        SOURCE,
        Column("nodes_and_edges", "int", "what the graph holds on its word"),
        Column("written", "bool", "whether any of it had changed"),
    ),
)
CRAWL = StageSpec(
    name="crawl",
    asset="enriched",
    code_version="2",
    dependency="web",
    upstream=("parse",),
    role="optional",
    streams=("posts",),
    taken_metric="posts_with_links",
    preview=(
        SOURCE,
        Column("links", "int", "pages it links to"),
        Column("page_chunks", "int", "pieces of their text that are found as the post's"),
    ),
)
REINDEX = StageSpec(
    name="reindex",
    asset="reindexed",
    code_version="1",
    dependency="vectors",
    role="rebuild",
    writes="vectors",
    model="embedder",
)
STAGES: Mapping[Stage, StageSpec] = MappingProxyType(
    {spec.name: spec for spec in (PARSE, TAG, ENRICH, EMBED, INDEX, LINK, CRAWL, REINDEX)}
)
"""All stages, in the usual order of their work."""
ITEM_STAGES: tuple[Stage, ...] = tuple(name for name, spec in STAGES.items() if spec.role == "item")
"""The stages that every item passes."""
PIPELINE_STAGES: tuple[Stage, ...] = tuple(name for name, spec in STAGES.items() if spec.role != "rebuild")
"""With reading the pages that posts link to, where the settings ask for it: for posts with links alone."""
ALL_STAGES: tuple[Stage, ...] = tuple(STAGES)
"""With filling a second vector index, which no item waits for."""
PAID_STAGES: tuple[Stage, ...] = tuple(name for name in PIPELINE_STAGES if STAGES[name].is_paid)
"""Stages at which items may wait for their tenant's budget."""


@cache
def downstream_of(stage: Stage) -> tuple[Stage, ...]:
    """Return every stage that reads results of a stage, directly or through others: what a redo starts again."""
    readers = {name for name, spec in STAGES.items() if stage in spec.upstream}
    found = readers.union(*map(downstream_of, readers))
    return tuple(name for name in STAGES if name in found)


@cache
def upstream_of(stage: Stage) -> tuple[Stage, ...]:
    """Return every stage whose results a stage depends on, directly or through others."""
    return tuple(name for name in STAGES if stage in downstream_of(name))


@cache
def enqueued_after(stage: Stage) -> tuple[Stage, ...]:
    """Return the stages that become pending for an item once it is done with a stage."""
    return tuple(name for name in ITEM_STAGES if stage in STAGES[name].upstream)


def stages_of_asset(stage: Stage, stream: Stream) -> tuple[Stage, ...]:
    """Return the stages that one asset of a stream does, in order: its own, and those that share it."""
    return tuple(name for name, spec in STAGES.items() if spec.asset == STAGES[stage].asset and stream in spec.streams)


SEARCH_STAGES: tuple[Stage, ...] = (*upstream_of("index"), "index")
"""An item that failed at one of these is not found."""
