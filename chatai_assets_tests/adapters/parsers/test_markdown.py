"""Markdown is reduced to its text."""

from __future__ import annotations

from pathlib import Path

from chatai_assets_tests.support.files import parse_file, write_file


def test_markdown_loses_markup_and_keeps_structure(tmp_path: Path) -> None:
    text = (
        "---\ntitle: Имя\n---\n# Тема {#id}\n\nЭто **важно**,\nсм. [тут](https://example.com/x).\n\n"
        "- раз\n- два\n  1. три\n\n```python\n# не заголовок\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    parsed = parse_file(write_file(tmp_path, "doc.md", text))
    assert parsed.text == "Тема\n\nЭто важно, см. тут.\n\n- раз\n- два\n  1. три\n\n# не заголовок\n\na | b\n1 | 2"
    assert (parsed.title, parsed.links) == ("Имя", ("https://example.com/x",))
    assert [section.title for section in parsed.sections] == ["Тема"]
