"""Word documents keep their structure."""

from __future__ import annotations

from pathlib import Path

from chatai_assets_tests.support.files import docx, parse_file, word_paragraph


def test_word_headings_are_sections_and_table_rows_are_lines(tmp_path: Path) -> None:
    row = "<w:tr>" + "".join(f"<w:tc>{word_paragraph(text)}</w:tc>" for text in ("Имя", "Город")) + "</w:tr>"
    body = word_paragraph("Отчёт", "Heading1") + word_paragraph("Итоги года.") + f"<w:tbl>{row}{row}</w:tbl>"
    parsed = parse_file(docx(tmp_path / "отчёт.docx", body))
    assert parsed.text == "Отчёт\n\nИтоги года.\n\nИмя | Город\nИмя | Город"
    assert [(section.title, section.start) for section in parsed.sections] == [("Отчёт", 0)]
