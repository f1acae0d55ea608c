"""PDF files are read page by page."""

from __future__ import annotations

from pathlib import Path

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets_tests.support.files import parse_error, parse_file, pdf


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    parsed = parse_file(pdf(tmp_path / "report.pdf", ["First page", "", "Third page"]))
    assert [parsed.text[page.start : page.end] for page in parsed.pages] == ["First page", "", "Third page"]
    assert parsed.text == "First page\n\nThird page"


def test_a_pdf_without_text_layer_is_a_failure_not_an_empty_success(tmp_path: Path) -> None:
    assert parse_error(pdf(tmp_path / "scan.pdf", ["", ""])) == "no_text_layer"


def test_a_pdf_with_too_many_pages_is_refused(tmp_path: Path) -> None:
    assert parse_error(pdf(tmp_path / "long.pdf", ["page"] * 3), ParserLimits(max_pages=2)) == "too_many_pages"
