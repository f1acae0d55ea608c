"""A scan is a document like any other: found by its words, told how they came about, erased with all that was kept."""

import time
from pathlib import Path

import pytest

from chatai_assets.operations.erasure import forget
from chatai_assets.operations.status import describe_item, redo
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support.erasure import erasure_stores
from chatai_assets_tests.support.files import pdf
from chatai_assets_tests.support.pipeline import ingest_files, load_payloads, migrated_settings, process_all, rows
from chatai_assets_tests.support.scans import draw_text, write_scan

TEXT = "The harbour office is open from nine to five."
OCR = schema.post_enrichment.c.kind == "ocr"


@pytest.fixture
def scan(tmp_path: Path, embedded: Services, tesseract) -> str:
    """The source key of a scan that was processed; its first page has a text layer, its second is read."""
    layer = pdf(tmp_path / "layer.pdf", ["First comes the text layer"])
    ingest_files(embedded, [write_scan(tmp_path / "scan.pdf", [layer, draw_text(TEXT)])])
    process_all(embedded)
    return str(rows(embedded, schema.documents)[0]["source_key"])


def test_a_scan_is_found_by_its_words_and_says_how_they_came_about(embedded, scan, tesseract):
    (chunk,), (hit,) = rows(embedded, schema.chunks), load_payloads(embedded, scan)
    assert (chunk["text"], chunk["page"]) == (f"First comes the text layer\n\n{TEXT}", 1)
    assert (hit["start"], hit["end"]) == (chunk["start"], chunk["end"])
    assert rows(embedded, schema.documents)[0]["pages"] == [[1, 0, 26], [2, 28, 28 + len(TEXT)]]
    told = describe_item(embedded.records, scan, None)["recognised"]
    assert told.pop("confidence") > 85
    assert told == {"engine": f"tesseract {tesseract.version} rus+eng", "pages": 1, "unread": {}}


def test_done_again_it_is_not_recognised_again(embedded, scan):
    (kept,), (told,) = rows(embedded, schema.provider_results), rows(embedded, schema.post_enrichment, OCR)
    redo(embedded.records, scan, tenant_id=None, stage="parse")
    process_all(embedded)
    assert rows(embedded, schema.provider_results) == [kept]
    assert rows(embedded, schema.post_enrichment, OCR) == [told]


def test_forgotten_it_leaves_nothing_of_what_was_recognised(embedded, scan):
    assert TEXT in rows(embedded, schema.provider_results)[0]["answer"]["text"]
    forget(erasure_stores(embedded), scan, tenant_id=None)
    for table in (schema.provider_results, schema.provider_result_uses, schema.post_enrichment):
        assert rows(embedded, table) == []


def test_a_revision_that_is_no_scan_is_recognised_by_nobody(embedded, scan, tmp_path):
    ingest_files(embedded, [pdf(tmp_path / "scan.pdf", ["Now it has a text layer"])])
    process_all(embedded)
    assert describe_item(embedded.records, scan, None)["recognised"] is None


def test_pages_that_a_batch_had_no_time_for_are_read_by_the_next(tmp_path, tesseract):
    """The second page is not tried in the first batch, which costs no attempt."""
    settings = migrated_settings(tmp_path / "home", {"CHATAI_OCR_PATIENCE_S": "1"})
    with Services(settings) as services:
        slow = draw_text(" ".join([TEXT] * 30))
        ingest_files(services, [write_scan(tmp_path / "long.pdf", [slow, draw_text(TEXT)])])
        first, *_ = (
            report
            for report in process_all(services, stages=["parse"], now=time.time())
            if report.stream == "documents"
        )
        process_all(services, stages=["parse"], now=time.time())
        assert first.retried == {"PagesLeft": 1}
        assert [len(rows(services, table)) for table in (schema.documents, schema.provider_results)] == [1, 2]
        (work,) = rows(services, schema.work, schema.work.c.stage == "parse")
        assert (work["state"], work["attempts"]) == ("done", 0)
