"""Files are read by their content, not by their name on disk."""

from __future__ import annotations

from pathlib import Path

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.registry import read_document
from chatai_assets_tests.support.files import docx, word_paragraph, xlsx


def test_a_file_is_read_regardless_of_its_name_on_disk(tmp_path: Path) -> None:
    workbook = xlsx(tmp_path / "book.xlsx", {"Склад": [["Товар"], ["=A1"], ["мёд"]]}).rename(tmp_path / "0f3a")
    letter = docx(tmp_path / "letter.docx", word_paragraph("Уважаемые коллеги")).rename(tmp_path / "7be1")
    assert "мёд" in read_document(workbook, "book.xlsx", ParserLimits()).text
    assert "коллеги" in read_document(letter, "letter.docx", ParserLimits()).text
