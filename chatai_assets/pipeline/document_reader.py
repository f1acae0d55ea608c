"""Uploaded files -> documents, with the text of pages that are scans or photos.

Each page is recognised on its own, in a child process: if the child dies, the other pages are read all the same. The
result is cached at once, by the image of the page, so that no page is recognised twice, after a crash or otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from chatai_assets.adapters.ocr.tesseract import Tesseract, TesseractNotFound, find_tesseract
from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.limits import OcrLimits, ParserLimits
from chatai_assets.adapters.sandbox.pool import ParserPool, no_text_error, parse_response
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import ChatAIError, OcrTimeBudgetExceeded, UnreadableDocument
from chatai_assets.domain.ids import fingerprint
from chatai_assets.domain.ocr import OcrPage, OcrResult
from chatai_assets.storage.engine import Records
from chatai_assets.storage.llm_responses import find_results, store_results

OCR = "ocr"
"""Name under which recognised pages are cached among the answers of providers."""
NOT_READ = "left_out"
"""Code of pages that are not looked at, after too many."""
LOST = frozenset({"timeout", "memory_limit", "parser_crashed"})
"""Codes of pages that cost time or a child."""
BLANK = OcrPage("", 0.0)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be read.

    Attributes:
        path: where its bytes are.
        name: what its owner called it.
        tenant_id: its owner; cached pages are not shared between tenants.
    """

    path: Path
    name: str
    tenant_id: str


@dataclass(slots=True)
class TimeBudget:
    """How long the scans of one batch may take together.

    Attributes:
        until: by ``time.monotonic``.
        gained: whether anything came of the batch: without that, the next one would come no further.
    """

    until: float
    gained: bool = False

    @property
    def is_over(self) -> bool:
        """Whether pages that are left wait for the next batch."""
        return self.gained and time.monotonic() > self.until


class DocumentReader:
    """Reads uploaded files, with the text on scans where that is wanted and can be.

    Args:
        pool: whose children read; belongs to the caller.
        records: where recognised pages are cached.
        ocr: what the scans of a batch may cost; None where they are not to be recognised.
    """

    def __init__(self, pool: ParserPool, records: Records, ocr: OcrLimits | None) -> None:
        self._pool = pool
        self._records = records
        self._ocr = ocr

    def read_many(self, uploads: Iterable[Upload]) -> Iterator[ParsedDocument | ChatAIError]:
        """Yield, in order, each document or the error it ended with; all workers are used.

        Raises:
            Outage: no child can be started, or recognised pages cannot be stored.
        """
        patience = TimeBudget(time.monotonic() + (self._ocr.max_wait_s if self._ocr else 0.0))
        return self._pool.run_all(partial(self.read, upload, patience) for upload in uploads)

    def read(self, upload: Upload, patience: TimeBudget) -> ParsedDocument:
        """Return what a file says.

        Raises:
            UnreadableDocument: as ``ParserPool.parse``; ``no_ocr``, ``no_text_recognised``.
            OcrTimeBudgetExceeded: the batch ran out of time for its pages; recognised ones are cached.
            ChildKilled, Outage: as ``ParserPool.parse``.
        """
        document = self._pool.read(upload.path, upload.name)
        if not document.scans:
            return document
        if self._ocr is None or isinstance(self._engine, str):
            return self._as_it_is(document)
        pages = _Pages(self._pool, self._records, self._ocr, self._engine, upload, document)
        return pages.read(patience)

    @cached_property
    def _engine(self) -> Tesseract | str:
        """The program, or why there is none."""
        try:
            return find_tesseract()
        except TesseractNotFound as reason:
            return str(reason)

    def _as_it_is(self, document: ParsedDocument) -> ParsedDocument:
        if document.has_text:
            return document
        raise no_text_error(document) if self._ocr is None else UnreadableDocument("no_ocr", str(self._engine))


class _Pages:
    """The scans of one document."""

    def __init__(
        self,
        pool: ParserPool,
        records: Records,
        limits: OcrLimits,
        engine: Tesseract,
        upload: Upload,
        document: ParsedDocument,
    ) -> None:
        self._pool = pool
        self._records = records
        self._limits = limits
        self._engine = engine
        self._upload = upload
        self._document = document
        self._prints: list[str] = []

    def read(self, patience: TimeBudget) -> ParsedDocument:
        """Return the document with what its scans say."""
        document, most = self._document, self._limits.max_pages
        unread = dict.fromkeys(document.scans[most:], NOT_READ)
        read = self._recognise(document.scans[:most], unread, patience)
        patience.gained = True
        told = {number: page.confidence for number, page in read.items() if page.text}
        if not told and not document.has_text:
            raise UnreadableDocument("no_text_recognised", _counts(len(read), unread))
        recognition = OcrResult(self._engine.name, told, unread, tuple(self._prints)) if told or unread else None
        return replace(with_texts(document, read), recognition=recognition)

    def _recognise(self, numbers: Sequence[int], unread: dict[int, str], patience: TimeBudget) -> dict[int, OcrPage]:
        """Return number -> page; adds to ``unread`` those that cannot be read."""
        read: dict[int, OcrPage] = {}
        for number in numbers:
            if patience.is_over:
                raise OcrTimeBudgetExceeded(f"{len(numbers) - len(read)} pages of a scan wait for the next batch.")
            if sum(code in LOST for code in unread.values()) >= self._limits.max_lost:
                unread[number] = NOT_READ
                continue
            try:
                read[number] = self._page(number, patience)
            except UnreadableDocument as fault:
                unread[number] = fault.reason
        return read

    def _page(self, number: int, patience: TimeBudget) -> OcrPage:
        image = self._ask(number, 0)["image"]
        if image is None:
            return BLANK
        made_from = fingerprint(OCR, str(image), self._engine.name)
        page = self._kept(made_from)
        if page is None:
            page = page_in(self._ask(number, self._limits.page_s))
            self._keep(made_from, page)
            patience.gained = True
        self._prints.append(made_from)
        return page

    def _ask(self, number: int, cpu_s: int) -> dict[str, Any]:
        request = {"path": str(self._upload.path.absolute()), "format": self._document.format}
        return self._pool.call(request | {"page": number, "cpu_s": cpu_s}, self._limits.page_s, _sound)

    def _kept(self, made_from: str) -> OcrPage | None:
        with self._records.reading() as connection:
            found = find_results(connection, self._upload.tenant_id, [made_from])
        return page_in(found[made_from]) if found else None

    def _keep(self, made_from: str, page: OcrPage) -> None:
        row = {
            "tenant_id": self._upload.tenant_id,
            "fingerprint": made_from,
            "provider": OCR,
            "answer": {"text": page.text, "confidence": page.confidence},
            "written_at": time.time(),
        }
        with self._records.begin() as connection:
            store_results(connection, [row])


def page_in(answer: dict[str, Any]) -> OcrPage:
    """Return the page in an answer."""
    return OcrPage(str(answer["text"]), float(answer["confidence"]))


def _sound(answer: dict[str, Any]) -> dict[str, Any]:
    return parse_response(answer, lambda sound: sound)


def _counts(empty: int, unread: dict[int, str]) -> str:
    """Return what became of the pages of a scan, e.g. ``"pages without text: 3, timeout: 1"``."""
    codes = sorted(set(unread.values()))
    counts = [f"{code}: {sum(each == code for each in unread.values())}" for code in codes]
    return ", ".join([f"pages without text: {empty}", *counts])


def with_texts(document: ParsedDocument, read: dict[int, OcrPage]) -> ParsedDocument:
    """Return a document with the text of its scans; all offsets move along.

    Raises:
        UnreadableDocument: ``too_much_text``.
    """
    whole = DocumentBuilder(ParserLimits())
    moved: list[tuple[int, int]] = []
    for page in document.pages:
        text = read[page.number].text if page.number in read else document.text[page.start : page.end]
        moved.append((page.start, whole.page(page.number, text)))
    for section in document.sections:
        before, after = max(place for place in moved if place[0] <= section.start)
        whole.section(section.level, section.title, section.start - before + after)
    for url in document.links:
        whole.link(url)
    for note in document.notes:
        whole.note(note)
    return whole.finish(document.format, document.title, document.scans)
