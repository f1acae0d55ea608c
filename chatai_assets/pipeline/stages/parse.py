"""Raw record or file -> parsed text and chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.ids import ItemKey, Stream, digest
from chatai_assets.domain.ocr import OcrResult
from chatai_assets.domain.stages import STAGES
from chatai_assets.domain.telegram.formats import Post, read_post
from chatai_assets.domain.text.chunking import BODY, Chunk, PreviousChunks, chunk_text, rechunk
from chatai_assets.domain.text.language import detect_language
from chatai_assets.domain.ttl import TTLPolicy
from chatai_assets.files.blobs import Blobs
from chatai_assets.pipeline.document_reader import DocumentReader, Upload
from chatai_assets.pipeline.engine import BatchResult, StageReport, StageRunConfig, run_batches
from chatai_assets.pipeline.item_errors import attempt, fail_documents, note_failure
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.pipeline.stages.carry_over import carry_over_valid_results
from chatai_assets.storage import enrichment
from chatai_assets.storage import items as content
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.items import ChunkWithText, ClaimedArrival
from chatai_assets.storage.llm_responses import link_results

SPEC = STAGES["parse"]
TITLE_CHARS = 120

ParsedRow = dict[str, Any]


def run(config: StageRunConfig, services: StageServices) -> StageReport:
    """Parse what is due; the status of a document becomes ``processing`` or ``failed``."""
    records, retention = services.records, services.settings.retention
    if config.stream == "posts":
        return run_batches(config, records, PostParseHandler(records, retention.posts))
    handler = DocumentParseHandler(config, records, services.blobs, services.reader, retention.documents)
    return run_batches(config, records, handler)


class PostParseHandler:
    """Handler of the stage ``parse`` for posts.

    Args:
        lifetime: after which time posts expire.
    """

    spec = SPEC
    fingerprint = SPEC.fingerprint("posts")

    def __init__(self, records: Records, lifetime: TTLPolicy) -> None:
        self.records = records
        self.lifetime = lifetime

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        _forget(connection, "posts", failures, self.lifetime)

    def process_batch(self, owner: str) -> BatchResult:
        with self.records.reading() as connection:
            arrivals = content.claimed_arrivals(connection, owner)
        result = BatchResult(write=lambda _connection, _keys: None)
        parsed: dict[ItemKey, tuple[ParsedRow, list[Chunk]]] = {}
        for arrival in arrivals:
            key = ItemKey.of(arrival)
            done = attempt(partial(self._parse, arrival), key, result)
            if done:
                parsed[key] = done
        _complete(result, "posts", owner, parsed)
        return result

    def _parse(self, arrival: ClaimedArrival) -> tuple[ParsedRow, list[Chunk]]:
        post = read_post(arrival["payload"], arrival["record_format"])
        expires_at = self.lifetime.expires_at(arrival["tenant_id"], arrival["received_at"])
        return _post_row(post, expires_at), chunk_text(post.text) if post.text else []


def _post_row(post: Post, expires_at: int | None) -> ParsedRow:
    return {
        "title": _title(post.text),
        "channel": post.channel,
        "url": post.url,
        "text": post.text,
        "language": detect_language(post.text),
        "links": list(post.links),
        "published_at": post.published_at,
        "expires_at": expires_at,
        "chat_id": post.chat_id,
        "message_id": post.message_id,
        "username": post.username,
        "edited_at": post.edited_at,
        "forwarded_from": post.forwarded_from,
        "album_id": post.album_id,
        "media_kind": post.media_kind,
    }


class DocumentParseHandler:
    """Handler of the stage ``parse`` for documents.

    Args:
        lifetime: after which time documents expire.
    """

    spec = SPEC
    fingerprint = SPEC.fingerprint("documents")

    def __init__(
        self, config: StageRunConfig, records: Records, blobs: Blobs, reader: DocumentReader, lifetime: TTLPolicy
    ) -> None:
        self.config = config
        self.records = records
        self.lifetime = lifetime
        self.blobs = blobs
        self.reader = reader

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        _forget(connection, "documents", failures, self.lifetime)
        fail_documents(connection, failures)

    def process_batch(self, owner: str) -> BatchResult:
        with self.records.reading() as connection:
            arrivals = content.claimed_arrivals(connection, owner)
            earlier = content.earlier_documents(connection, owner, self.fingerprint)
        result = BatchResult(write=lambda _connection, _keys: None)
        parsed: dict[ItemKey, tuple[ParsedRow, list[Chunk]]] = {}
        recognised: dict[ItemKey, OcrResult] = {}
        for arrival, answer in zip(arrivals, self.reader.read_many(map(self._upload, arrivals)), strict=True):
            key = ItemKey.of(arrival)
            if isinstance(answer, ChatAIError):
                note_failure(answer, key, result)
                continue
            done = attempt(partial(_document, arrival, answer, self.lifetime, earlier.get(key)), key, result)
            if done:
                parsed[key] = done
                if answer.recognition:
                    recognised[key] = answer.recognition
        _complete(result, "documents", owner, parsed)
        self._complete_recognition(result, parsed.keys(), recognised)
        return result

    def _upload(self, arrival: ClaimedArrival) -> Upload:
        payload = arrival["payload"]
        return Upload(self.blobs.path_of(payload["sha256"]), payload["file_name"], arrival["tenant_id"])

    def _complete_recognition(
        self, result: BatchResult, parsed: Collection[ItemKey], recognised: Mapping[ItemKey, OcrResult]
    ) -> None:
        """Add to a result how to write the results of OCR, and how to remove those of earlier revisions."""
        write_parsed = result.write

        def write(connection: Transaction, keys: set[ItemKey]) -> None:
            write_parsed(connection, keys)
            enrichment.forget_recognition(connection, [key for key in parsed if key in keys and key not in recognised])
            mine = {key: each for key, each in recognised.items() if key in keys}
            enrichment.write_recognition(connection, mine, now=self.config.clock())
            link_results(connection, [(key, made_from) for key, each in mine.items() for made_from in each.cache_keys])

        result.write = write
        result.counts.update(pages_recognised=sum(len(each.pages) for each in recognised.values()))


def _document(
    arrival: ClaimedArrival, parsed: ParsedDocument, lifetime: TTLPolicy, earlier: PreviousChunks | None
) -> tuple[ParsedRow, list[Chunk]]:
    row = {
        "title": parsed.title or arrival["payload"]["file_name"],
        "channel": arrival["payload"]["file_name"],
        "url": None,
        "text": parsed.text,
        "language": detect_language(parsed.text),
        "links": list(parsed.links),
        "published_at": int(arrival["received_at"]),
        "expires_at": lifetime.expires_at(arrival["tenant_id"], arrival["received_at"]),
        "format": parsed.format,
        "pages": [[page.number, page.start, page.end] for page in parsed.pages],
        "sections": [[section.level, section.title, section.start] for section in parsed.sections],
        "parsed_by": DocumentParseHandler.fingerprint,
        "status": "processing",
        "error": None,
        "error_code": None,
    }
    if earlier:
        return row, rechunk(earlier, parsed.text, parsed.pages, parsed.sections)
    return row, chunk_text(parsed.text, parsed.pages, parsed.sections)


def _complete(
    result: BatchResult, stream: Stream, owner: str, parsed: dict[ItemKey, tuple[ParsedRow, list[Chunk]]]
) -> None:
    """Add to a result how to write what was parsed, its figures and its preview."""

    def write(connection: Transaction, keys: set[ItemKey]) -> None:
        mine = {key: parsed[key] for key in parsed if key in keys}
        rows = [_keyed(key, row) for key, (row, _) in mine.items()]
        content.write_items(connection, stream, rows)
        chunk_rows = [_chunk_row(key, chunk) for key, (_, chunks) in mine.items() for chunk in chunks]
        carry_over_valid_results(connection, owner, {key: row["text"] for key, (row, _) in mine.items()}, chunk_rows)
        content.replace_chunks(connection, owner, chunk_rows)

    result.write = write
    result.counts = Counter(
        chunks=sum(len(chunks) for _, chunks in parsed.values()),
        characters=sum(len(row["text"]) for row, _ in parsed.values()),
        links=sum(len(row["links"]) for row, _ in parsed.values()),
    )
    result.preview = [
        {"source": key.source_key, "language": row["language"], "characters": len(row["text"]), "chunks": len(chunks)}
        for key, (row, chunks) in list(parsed.items())[:10]
    ]


def _forget(
    connection: Transaction, stream: Stream, failures: Mapping[ItemKey, ChatAIError], lifetime: TTLPolicy
) -> None:
    """Delete the results of earlier revisions of items, which are wrong now; set when the failed ones expire."""
    content.clear_items(connection, stream, failures.keys())
    arrived = content.arrival_moments(connection, stream, failures.keys())
    ends = {key: lifetime.expires_at(key.tenant_id, received_at) for key, received_at in arrived.items()}
    content.write_items(connection, stream, [_keyed(key, {"expires_at": end}) for key, end in ends.items()])
    enrichment.forget_tags(connection, failures.keys())
    enrichment.forget_recognition(connection, failures.keys())
    enrichment.forget_facts(connection, failures.keys())


def _chunk_row(key: ItemKey, chunk: Chunk) -> ChunkWithText:
    return {
        "tenant_id": key.tenant_id,
        "source_key": key.source_key,
        "part": BODY,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "text_hash": digest(chunk.text)[:32],
    }


def _keyed(key: ItemKey, row: ParsedRow) -> ParsedRow:
    return {"tenant_id": key.tenant_id, "source_key": key.source_key, **row}


def _title(text: str) -> str:
    """Return the first line of a text, cut at a word."""
    line = text.partition("\n")[0].strip()
    return line if len(line) <= TITLE_CHARS else line[:TITLE_CHARS].rpartition(" ")[0] + "…"
