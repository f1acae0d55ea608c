"""The six assets of uploaded documents."""

import dagster as dg

from chatai_assets.domain.stages import Stage
from chatai_assets.files.blobs import Blobs
from chatai_assets.orchestration.assets.stages import stage_assets
from chatai_assets.orchestration.resources import Clock, Lazy
from chatai_assets.orchestration.stage_runs import stage_run
from chatai_assets.pipeline.document_reader import DocumentReader
from chatai_assets.pipeline.stages.parse import parse_documents
from chatai_assets.settings import Settings
from chatai_assets.storage.engine import Records

DESCRIPTIONS: dict[Stage, str] = {
    "parse": """Text, pages and sections of the files that arrived in one hour: PDF, DOCX, XLSX, CSV, HTML, MD, TXT.

Each file is read in a **child process** with a memory limit and a deadline, by what it contains and not by its name.
Pages without a text layer and images (PNG, JPEG, TIFF, WEBP) are recognised where **tesseract** is installed. A file
that cannot be read becomes a dead letter with a sentence a person understands; a PDF without text is such a failure,
never an empty success. What can be read is cut into **chunks** of at most 600 words.""",
    "tag": """One to eight topics of each document, judged by its beginning.

Every tag is a **substring of the document**; that is checked by code, whoever proposed the tag.""",
    "enrich": """Who and what the documents speak of: names in Russian and English, and how they belong together.

Each entity and relation remembers the chunk it comes from, so that a fact can be traced and later removed.""",
    "embed": """The meaning of each chunk as a dense vector, its words as a sparse one.

A text that was embedded once is **never embedded again**: an edit of one page costs the chunks around it.""",
    "index": """The documents as search finds them: one point per chunk in Qdrant, with its page.

Only now does a document show as `completed` on the upload page: **completed means that search finds it**.""",
    "link": """The documents in the knowledge graph: documents, tags and entities, and what connects them.

Every edge carries its source. What an earlier revision said and the latest one does not is removed.""",
}


def parsed(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    records: dg.ResourceParam[Lazy[Records]],
    blobs: dg.ResourceParam[Lazy[Blobs]],
    reader: dg.ResourceParam[Lazy[DocumentReader]],
) -> dg.MaterializeResult[None]:
    """Parse the documents of one hour."""
    with stage_run(context, "parse", settings, records, clock) as run:
        kept = settings.retention.documents
        run.do(lambda scope: parse_documents(scope, records=records(), blobs=blobs(), reader=reader(), lifetime=kept))
    return run.result


def document_assets(settings: Settings, hours: dg.PartitionsDefinition[str]) -> list[dg.AssetsDefinition]:
    """Return ``documents/parsed`` to ``documents/linked``."""
    return stage_assets("documents", parsed, DESCRIPTIONS, settings, hours)
