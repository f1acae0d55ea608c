"""Workbooks are read sheet by sheet."""

from __future__ import annotations

from pathlib import Path

from chatai_assets_tests.support.files import parse_file, xlsx


def test_sheets_are_sections_and_rows_name_their_columns(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Имя", "Сумма"], ["Анна", 3.0], ["Пётр", "=1+1"]]
    parsed = parse_file(xlsx(tmp_path / "book.xlsx", {"Продажи": rows, "Пусто": []}))
    assert parsed.text == "Продажи\n\nИмя; Сумма\n\nИмя: Анна; Сумма: 3\n\nИмя: Пётр; Сумма: =1+1"
    assert [section.title for section in parsed.sections] == ["Продажи"]
